"""Ray Tune's own rules of early stopping, with the reason of each decision in words."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule

from zfscale.spec import SearchSpec

STAGE = "stage"  # what Tune is to take for the time; the number of the report, where they come inside stages
FAR = 10**6  # a stage that no trial has: the last report is not for stopping


class Asha:
    """Asynchronous successive halving: a trial goes on that is among the best 1 / reduction at its rung.

    Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (arXiv 1810.05934). The first at a rung always
    goes on. Where trials are judged as they come, whoever comes early meets weaker competition.
    """

    brackets = 1

    def __init__(self, search: SearchSpec) -> None:
        options, (metric, mode) = search.scheduler, search.compared
        self.reduction = options.reduction
        self.tune: Any = _Brackets(
            STAGE,
            metric,
            mode,
            max_t=FAR,
            grace_period=options.grace,
            reduction_factor=self.reduction,
            brackets=self.brackets,
        )
        count = int(np.log(FAR / options.grace) / np.log(self.reduction)) + 1
        rungs = [options.grace * self.reduction**k for k in range(count)]
        self.rungs: list[dict[float, dict[str, float]]]  # of each bracket, the highest first
        self.rungs = [{rung: {} for rung in reversed(rungs[first:])} for first in range(self.brackets)]
        self.sign = 1 if mode == "max" else -1

    def why(self, trial_id: str, stage: int, value: float) -> str:
        """With what a value is compared; to be asked once for each report, as Tune is."""
        bracket = bracket_of(trial_id, self.brackets)
        named = f"bracket {bracket + 1}, " if self.brackets > 1 else ""
        for rung, there in self.rungs[bracket].items():
            if stage >= rung and trial_id not in there:
                others = list(there.values())
                there[trial_id] = self.sign * value
                if not others:
                    return f"{named}first at rung {rung:g}"
                cutoff = self.sign * np.percentile(others, 100 * (1 - 1 / self.reduction))
                return f"{named}rung {rung:g}: {value:.6g} against {cutoff:.6g}, by {len(others)} before it"
        return f"{named}between rungs"


class HyperBand(Asha):
    """Several brackets of asynchronous successive halving, each of which begins to stop trials at a later rung.

    Li et al. 2018, Hyperband (arXiv 1603.06560), with the rule of Li et al. 2020 inside brackets.

    NOTE: Hyperband's own rule is synchronous: trials of a bracket wait at a rung for each other, and the best of all go
    on. Here no trial waits. Its brackets hold numbers of trials that take equal budgets; these hold shares of all
    trials, those of Ray Tune's AsyncHyperBandScheduler (see `bracket_of`), since a sweep may grow.
    """

    def __init__(self, search: SearchSpec) -> None:
        self.brackets = search.scheduler.brackets
        super().__init__(search)


class _Brackets(AsyncHyperBandScheduler):
    """Ray Tune's rule, but that a trial's bracket follows from its id, and so is the same in all runs of a sweep.

    NOTE: Ray Tune draws it, with NumPy's global generator.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """A trial that will report."""
        self._trial_info[trial.trial_id] = self._brackets[bracket_of(trial.trial_id, len(self._brackets))]


def bracket_of(trial_id: str, brackets: int) -> int:
    """The bracket of a trial, from 0, by a hash of its id.

    Shares are those of Ray Tune, where a bracket has one rung less than the one before: in proportion to e^-n.

    >>> [bracket_of(str(i), 3) for i in range(12)]
    [0, 0, 1, 0, 0, 2, 1, 0, 0, 0, 0, 0]
    """
    shares = np.exp(-np.arange(brackets))
    drawn = int.from_bytes(hashlib.sha256(trial_id.encode()).digest()[:6], "big") / 2**48
    return int(np.searchsorted(np.cumsum(shares / shares.sum())[:-1], drawn, side="right"))


class Median:
    """A trial goes on whose best value so far reaches the median of the other trials' means up to its stage.

    Golovin et al. 2017, Google Vizier: A Service for Black-Box Optimization.
    """

    def __init__(self, search: SearchSpec) -> None:
        options, (metric, mode) = search.scheduler, search.compared
        never: Any = math.inf  # else Tune would pause trials, which keep what a worker holds of them
        self.tune: Any = MedianStoppingRule(
            STAGE,
            metric,
            mode,
            grace_period=options.grace,
            min_samples_required=options.others,
            min_time_slice=never,
        )
        self.best = max if mode == "max" else min
        self.values: dict[str, list[float]] = {}

    def why(self, trial_id: str, stage: int, value: float) -> str:
        """What was compared."""
        mine = self.values.setdefault(trial_id, [])
        mine.append(value)
        return f"best so far {self.best(mine):.6g}, against the median of the others' means up to stage {stage}"


def measured(result: Mapping[str, Any], metric: str) -> tuple[int, float | None]:
    """The stage that a result is of, 0 if of none, and its value of the metric, None if it cannot be compared."""
    return int(result.get(STAGE) or 0), finite(result.get(metric))


def finite(value: float | None) -> float | None:
    """A number that can be compared, or None."""
    return float(value) if value is not None and math.isfinite(value) else None
