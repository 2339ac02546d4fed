"""How much of the spread of a measure each setting goes with: eta squared, one setting at a time.

Eta squared is the share of the variance between trials that lies between the groups with one value of the setting:
the sum of squares between groups over the total. Settings that vary together share their variance, so that the shares
need not add up to 1, and a share says nothing about causes. Without any effect it is not 0 but, on average,
(groups - 1) / (trials - 1), which stands beside it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from zfscale.records import Status
from zfscale.report.load import Trial

MOST = 8  # different numbers of a setting; more are cut into PARTS groups of about as many trials
PARTS = 5


class Share(NamedTuple):
    """Of one setting.

    Args:
        leaf: The setting, a dotted path.
        share: Eta squared, in [0, 1].
        chance: What it is on average where the setting has no effect.
        groups: Of how many groups of trials.
        cut: Whether the groups are ranges of numbers.
    """

    leaf: str
    share: float
    chance: float
    groups: int
    cut: bool


def measured(trials: Sequence[Trial], measure: str) -> list[tuple[Trial, float]]:
    """The trials that finished, with a finite value of the measure."""
    values = [(trial, trial.measures.get(measure)) for trial in trials if trial.status is Status.FINISHED]
    return [(trial, float(value)) for trial, value in values if value is not None and math.isfinite(value)]


def importance(trials: Sequence[Trial], measure: str, leaves: Sequence[str]) -> list[Share]:
    """The shares of settings that have several values and more trials than groups, the largest first."""
    found = []
    for leaf in leaves:
        known = measured(trials, measure)
        groups, cut = grouped([trial.spec.get(leaf) for trial, _ in known])
        count = len(set(groups))
        if 1 < count < len(known):
            share = eta_squared(groups, [value for _, value in known])
            found += [] if share is None else [Share(leaf, share, (count - 1) / (len(known) - 1), count, cut)]
    return sorted(found, key=lambda one: (-one.share, one.leaf))


def grouped(values: Sequence[Any]) -> tuple[list[Any], bool]:
    """The group of each value, and whether groups are ranges of numbers.

    >>> grouped(["a", "b", "a"])
    (['a', 'b', 'a'], False)
    >>> grouped([float(i) for i in range(10)])[0]
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """
    numbers = sorted({value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)})
    if len(numbers) <= MOST or any(isinstance(value, str) for value in values):
        return list(values), False
    order = sorted(value for value in values if value is not None)
    part: Mapping[Any, int] = {value: bisect_left(order, value) * PARTS // len(order) for value in numbers}
    return [None if value is None else part[value] for value in values], True


def eta_squared(groups: Sequence[Any], values: Sequence[float]) -> float | None:
    """The sum of squares between groups over the total; None where all values are equal.

    >>> eta_squared(["a", "a", "b", "b"], [0.0, 0.0, 1.0, 1.0]), eta_squared(["a", "b", "a", "b"], [0.0, 0.0, 1.0, 1.0])
    (1.0, 0.0)
    """
    mean = math.fsum(values) / len(values)
    total = math.fsum((value - mean) ** 2 for value in values)
    by: dict[Any, list[float]] = {}
    for group, value in zip(groups, values, strict=True):
        by.setdefault(group, []).append(value)
    between = math.fsum(len(own) * (math.fsum(own) / len(own) - mean) ** 2 for own in by.values())
    return min(between / total, 1.0) if total > 0 else None
