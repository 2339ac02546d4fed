"""Statistics over runs, and of differences and ratios that are paired by run: pure functions of numbers by run.

A run is a seed with a class order. Runs count as independent. What runs share, such as the order of the classes or the
initialisation, is in both parts of a pair and falls out of their difference.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

BEYOND = 2.0  # standard errors; what is less from 0 is not told apart from it

Run = TypeVar("Run", bound=Hashable)


@dataclass(frozen=True)
class Stat:
    """Mean, sample standard deviation (n - 1), and standard error of the mean; None where there is nothing to say."""

    mean: float | None = None
    std: float | None = None
    error: float | None = None

    @property
    def beyond(self) -> bool:
        """Whether the mean is more than two standard errors from 0."""
        return self.mean is not None and self.error is not None and abs(self.mean) > BEYOND * self.error


def stat(values: Sequence[float | None]) -> Stat:
    """The statistics of the values that are there.

    >>> stat([1.0, 3.0])
    Stat(mean=2.0, std=1.4142135623730951, error=1.0)
    >>> stat([1.0])
    Stat(mean=1.0, std=None, error=None)
    """
    known = [value for value in values if value is not None]
    if not known:
        return Stat()
    if not math.isfinite(total := sum(known)):
        return Stat(total / len(known))
    mean = statistics.fmean(known)
    if len(known) < 2:
        return Stat(mean)
    std = statistics.stdev(known)
    return Stat(mean, std, std / math.sqrt(len(known)))


def differences(one: Mapping[Run, float | None], other: Mapping[Run, float | None]) -> dict[Run, float]:
    """Run -> one - other, of the runs that both have."""
    found = {run: (value, other.get(run)) for run, value in one.items()}
    return {run: a - b for run, (a, b) in found.items() if a is not None and b is not None}


def ratio(parts: Mapping[Run, float | None], wholes: Mapping[Run, float | None]) -> Stat:
    """mean(parts) / mean(wholes) over the runs that both have, with the standard error of the delta method.

    With R = mean(x) / mean(y), the first-order variance of R is (s_xx - 2 R s_xy + R^2 s_yy) / (n mean(y)^2), which is
    the variance of the mean of x - R y, divided by mean(y)^2 (Cochran, Sampling Techniques, 1977, section 6.3).

    Returns:
        Nothing where there are fewer than two runs, or where mean(y) is within two standard errors of 0: the ratio to
        what may be 0 has no useful error.
    """
    runs = [run for run, value in parts.items() if value is not None and wholes.get(run) is not None]
    x, y = ([float(of[run] or 0.0) for run in runs] for of in (parts, wholes))
    whole = stat(y)
    if whole.mean is None or not whole.beyond:
        return Stat()
    found = statistics.fmean(x) / whole.mean
    rest = stat([a - found * b for a, b in zip(x, y, strict=True)])
    return Stat(found, None, None if rest.error is None else rest.error / abs(whole.mean))
