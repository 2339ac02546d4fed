"""What a searcher has proposed so far, as the table `decisions` tells it: the trials of a sweep that it proposes.

A search at a cell begins with a row `search`, which has the earlier trials that it was told of. A row `propose` has the
values of a proposal, a row `told` what the searcher learned of it. From these rows in their order a later run makes
the same searcher again. The column `why` of all three is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pydantic import ValidationError

from zfscale.records import Status
from zfscale.results.decisions import PROPOSE, SEARCH, TOLD, Decision, kept
from zfscale.results.layout import PLAN
from zfscale.results.storage import storage
from zfscale.results.takeovers import with_forks
from zfscale.spec import Sweep, TrialSpec
from zfscale.spec.cells import Cell

Values = Mapping[str, Any]  # dotted path -> value


class Proposed(NamedTuple):
    """A proposal, the n-th of its search."""

    n: int
    values: Values


class Told(NamedTuple):
    """What a searcher learned of its n-th proposal; the mean over its seeds."""

    n: int
    status: Status
    value: float | None = None
    stage: int = 0  # at which it was stopped


@dataclass
class Study:
    """A search at a cell so far.

    Args:
        cell: Where it searches.
        number: Of the row with which it began; None of one that has not.
        known: Values and result of each trial that the searcher was told of in the beginning.
        startup: Values of its first proposals, which are none of its own.
        events: What it proposed and was told since, in order, each with the number of its row.
    """

    cell: Cell
    number: int | None = None
    known: Sequence[tuple[Values, float]] = ()
    startup: Sequence[Values] = ()
    events: list[tuple[int, Proposed | Told]] = field(default_factory=list)

    @property
    def proposals(self) -> list[tuple[int, Proposed]]:
        """Those of the file: it may ask for fewer than there are."""
        most = self.cell.spec.search.samples
        return [(row, one) for row, one in self.events if isinstance(one, Proposed) and one.n < most]

    @property
    def unknown(self) -> int:
        """How many trials it may propose yet."""
        return (self.cell.spec.search.samples - len(self.proposals)) * len(self.cell.seeds)


def studies(cells: Iterable[Cell], rows: Iterable[Decision]) -> list[Study]:
    """The last search at each cell."""
    found = {cell.key: Study(cell) for cell in cells}
    of_row: dict[int, Study] = {}
    for row in rows:
        about = json.loads(row.why) if row.decision in (SEARCH, PROPOSE, TOLD) else {}
        if row.decision == SEARCH and about["cell"] in found:
            known = [(values, value) for values, value in about["known"]]
            begun = Study(found[about["cell"]].cell, row.number, known, about["startup"])
            found[about["cell"]] = of_row[row.number] = begun
        elif about.get("search") in of_row:
            of_row[about["search"]].events.append((row.number, _event(row, about)))
    return list(found.values())


def _event(row: Decision, about: Mapping[str, Any]) -> Proposed | Told:
    if row.decision == PROPOSE:
        return Proposed(about["proposal"], about["values"])
    return Told(about["proposal"], Status(about["status"]), row.value, row.stage)


def known(sweep: Sweep) -> Sweep:
    """The sweep with the trials that a searcher has proposed, or a population made, in all runs; any other as it is.

    Errors: ZfscaleError if the table `decisions` is damaged.
    """
    if not sweep.cells:
        return with_forks(sweep)
    found = _studies(sweep)
    proposals = sorted(((row, study.cell, one.values) for study in found for row, one in study.proposals), key=_first)
    trials: dict[str, TrialSpec] = {}
    for _, cell, values in proposals:
        for trial in trials_of(cell, values):
            trials.setdefault(trial.sameness, trial)
    return replace(sweep, trials=tuple(trials.values()), unknown=sum(study.unknown for study in found))


def unknown(sweep: Sweep) -> dict[str, tuple[TrialSpec, int]]:
    """Key of a cell -> a trial such as may be proposed there, and how many more may be."""
    return {study.cell.key: (study.cell.typical[0], study.unknown) for study in _studies(sweep)}


def _studies(sweep: Sweep) -> list[Study]:
    there = storage(sweep.spec.output.dir, sweep.spec.name)
    begun = bool(sweep.cells) and there.read(PLAN) is not None
    return studies(sweep.cells, kept(there) if begun else [])


def trials_of(cell: Cell, values: Values) -> list[TrialSpec]:
    """The trials of a proposal; none where its values do not go together."""
    try:
        return cell.trials(values)
    except ValidationError:
        return []


def earlier(cell: Cell, finished: Mapping[str, tuple[TrialSpec, float]]) -> Iterator[tuple[Values, float]]:
    """The proposals that a searcher at a cell could have made and whose trials, by their ids, have all finished."""
    seen: set[str] = set()
    for trial_id in sorted(finished):
        for values in _values(cell, finished[trial_id][0].model_dump()):
            trials, key = trials_of(cell, values), json.dumps(values, sort_keys=True)
            ids = [trial.trial_id for trial in trials]
            if key not in seen and trial_id in ids and all(name in finished for name in ids):
                seen.add(key)
                yield values, sum(finished[name][1] for name in ids) / len(ids)


def _values(cell: Cell, spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The values of the searched paths with which a trial may have been made at a cell."""
    if any(_at(spec, path, value) != value for path, value in cell.point.items() if not isinstance(value, dict)):
        return
    found: list[dict[str, Any]] = [{}]
    for path, values in cell.searched.items():
        options = [_at(spec, path)] if values.options is None else (values.all or [])
        try:
            for value in options:
                values.share(value)
        except (ValueError, TypeError):  # it lies outside
            return
        found = [{**one, path: value} for one in found for value in options]
    yield from found


def _at(tree: Any, path: str, missing: Any = None) -> Any:
    for key in path.split("."):
        if not isinstance(tree, Mapping) or key not in tree:
            return missing
        tree = tree[key]
    return tree


def _first(item: tuple[int, Any, Any]) -> int:
    return item[0]
