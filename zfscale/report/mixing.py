"""Whether trials that name one model and one stream have read the same weights and data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from zfscale.results.inputs import SHOWN
from zfscale.spec.trial import RUN

if TYPE_CHECKING:
    from zfscale.report.load import Trial

READ = ("model.", "stream.")  # the blocks of a spec that say what is read
DRAWN = (*RUN, "stream.order_seed")  # leaves of theirs that say in which order


def named(trial: Trial) -> tuple[Any, ...]:
    """What a trial names as its model and its stream; trials with the same should have read the same."""
    return tuple(sorted((k, str(v)) for k, v in trial.spec.items() if k.startswith(READ) and k not in DRAWN))


def mixed(trials: Iterable[Trial]) -> list[str]:
    """A line for each part of what trials have read that is not the same in all that name one model and stream."""
    found: dict[tuple[str, tuple[Any, ...]], dict[str, list[str]]] = {}
    for trial in trials:
        if trial.inputs:
            names = named(trial)
            for part, sha in trial.inputs.items():
                found.setdefault((part, names), {}).setdefault(sha, []).append(trial.trial_id)
    return [
        f"{part}: {', '.join(_group(sha, ids) for sha, ids in kinds.items())}"
        for (part, _), kinds in sorted(found.items())
        if len(kinds) > 1
    ]


def _group(sha: str, ids: list[str]) -> str:
    return f"{sha[:SHOWN]} in {len(ids)} trial{'s' * (len(ids) != 1)}, such as {ids[0]}"
