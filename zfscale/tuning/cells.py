"""The cells of a sweep, each of which has values of its own: a method, an optimizer, and other settings that vary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zfscale.spec import Sweep, TrialSpec
from zfscale.spec.distributions import Distribution, Grid
from zfscale.spec.trial import RUN

NAMES = ("method.name", "optimizer.name")


@dataclass(frozen=True)
class Cell:
    """Trials that differ in what is drawn and in what is searched for alone.

    Args:
        where: Dotted path -> what its trials have there; no other trial of the file that trains has all of it.
        trial: The first of them.
        ranges: Dotted path -> the values that may be chosen.
    """

    where: Mapping[str, Any]
    trial: TrialSpec
    ranges: Mapping[str, Distribution]

    @property
    def all_candidates(self) -> int | None:
        """How many there are, if all ranges are grids; else no end of them."""
        sizes = [len(values.grid) if isinstance(values, Grid) else None for values in self.ranges.values()]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    def __str__(self) -> str:
        return ", ".join(value if path in NAMES else f"{path} {value}" for path, value in self.where.items())


def cells(sweep: Sweep) -> list[Cell]:
    """The cells of those trials that train, in order of the file."""
    search = sweep.spec.search
    training = [trial for trial in sweep.trials if trial.trains]
    ranges = [search.space[search.pattern(trial.optimizer.name) or ""] for trial in training]
    leaves = [trial.leaves() for trial in training]
    paths = [*NAMES, *_telling(list(zip(leaves, ranges, strict=True)))]
    found: dict[tuple[Any, ...], Cell] = {}
    for trial, has, searched in zip(training, leaves, ranges, strict=True):
        where = {path: has.get(path) for path in paths if path not in searched}
        found.setdefault(tuple(where.items()), Cell(where, trial, searched))
    return list(found.values())


def _telling(trials: Sequence[tuple[Mapping[str, Any], Mapping[str, Distribution]]]) -> list[str]:
    """The leaves that vary even among trials of one method and optimizer, for which they are not searched.

    An option that one method alone has is no leaf where it is the default, so a leaf may be missing from some trials.
    """
    every = {path for leaves, _ in trials for path in leaves} - {*NAMES, *RUN}
    values: dict[tuple[Any, ...], set[Any]] = {}
    for leaves, searched in trials:
        for path in every - searched.keys():
            values.setdefault((path, *(leaves[name] for name in NAMES)), set()).add(leaves.get(path))
    return sorted({key[0] for key, seen in values.items() if len(seen) > 1})
