"""The trials of one sweep or of several, as if they were of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from zfscale.metrics.catalogue import SEARCHED
from zfscale.records import Status
from zfscale.report.load import Contents, Trial, contents
from zfscale.report.mixing import named
from zfscale.results.inputs import OtherInputs
from zfscale.results.storage import Place, Storage, storage

Read = TypeVar("Read")


@dataclass(frozen=True)
class Pool:
    """What is in some results directories.

    Args:
        places: The directories.
        contents: Their trials in order of ids. One that is in several is counted once.
        of: Trial id -> the directory that it is taken from.
    """

    places: tuple[Storage, ...]
    contents: Contents
    of: Mapping[str, Storage]

    @property
    def title(self) -> str:
        """The names of the sweeps."""
        return " + ".join(self.name(place) for place in self.places)

    def name(self, place: Storage) -> str:
        """The name of a sweep; its whole place where another has the same name."""
        same = sum(other.name == place.name for other in self.places)
        return place.name if same == 1 else str(place)

    def read(
        self, what: Callable[[Place, Collection[str]], Mapping[str, Read]], trials: Collection[str]
    ) -> dict[str, Read]:
        """Trial id -> what a function reads of it, asked of each directory for its own."""
        found: dict[str, Read] = {}
        for place in self.places:
            found.update(what(place, [trial for trial in trials if self.of[trial] is place]))
        return found


def pool(roots: Sequence[Place], found: Contents | None = None) -> Pool:
    """What is in the directories; of a single one, what was `found`.

    Raises:
        DataError: A directory holds no trials.
        OtherInputs: What two of them name alike was not the same when they were run.
    """
    places = tuple({str(place): place for place in map(storage, roots)}.values())
    every = [found or contents(place) for place in places]
    if len(every) == 1:
        return Pool(places, every[0], {trial.trial_id: places[0] for trial in every[0].trials})
    kept: dict[str, tuple[Trial, Storage]] = {}
    twice: list[str] = []
    for place, here in zip(places, every, strict=True):
        twice += _twice(kept, here.trials, place)
        for trial in here.trials:
            if trial.trial_id not in kept or _better(trial, kept[trial.trial_id][0]):
                kept[trial.trial_id] = (trial, place)
    faults = [fault for here in every for fault in here.faults if fault.trial_id not in kept]
    _read_the_same(list(kept.values()))
    ignored = [f"{place}/{name}" for place, here in zip(places, every, strict=True) for name in here.ignored]
    unwanted = [f"{place}: {line}" for place, here in zip(places, every, strict=True) for line in here.unwanted]
    whole = Contents([kept[trial_id][0] for trial_id in sorted(kept)], faults, ignored, twice, unwanted)
    return Pool(places, whole, {trial_id: place for trial_id, (_, place) in kept.items()})


def _read_the_same(trials: Sequence[tuple[Trial, Storage]]) -> None:
    """Errors: OtherInputs, if trials of two directories with one model and stream have read other weights or data."""
    first: dict[tuple[Any, ...], tuple[str, Trial, Storage]] = {}
    for trial, place in trials:
        names = named(trial) if trial.inputs else ()
        for part, sha in trial.inputs.items():
            other, its, where = first.setdefault((part, names), (sha, trial, place))
            if other != sha:
                raise OtherInputs(
                    f"{part} of trial {its.trial_id} in {where} and of {trial.trial_id} in {place} differ, "
                    "though their specs name the same; one table would mix both: report them apart"
                )


def _better(trial: Trial, other: Trial) -> bool:
    return trial.status is Status.FINISHED and other.status is not Status.FINISHED


def _twice(kept: Mapping[str, tuple[Trial, Storage]], trials: Sequence[Trial], place: Storage) -> Iterator[str]:
    """What to say of trials that are in an earlier directory as well."""
    again = [(trial, *kept[trial.trial_id]) for trial in trials if trial.trial_id in kept]
    for other, count in Counter(str(first) for _, _, first in again).items():
        yield f"{place}: {count} of its trials are in {other} as well and are counted once"
    for trial, first, where in again:
        if trial.status is first.status is Status.FINISHED and _results(trial) != _results(first):
            yield f"{place}: trial {trial.trial_id} has other results than in {where}; the first that finished counts"


def _results(trial: Trial) -> list[float | None]:
    return [trial.measures[name] for name in SEARCHED]
