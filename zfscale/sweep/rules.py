"""Ray Tune's own rules of early stopping, with the reason of each decision in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule

from zfscale.spec import SearchSpec

STAGE = "stage"  # what Tune is to take for the time; the number of the report, where they come inside stages
FAR = 10**6  # a stage that no trial has: the last report is not for stopping


class Asha:
    """Asynchronous successive halving: a trial goes on that is among the best 1 / reduction at its rung.

    Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (arXiv 1810.05934). The first at a rung always
    goes on. Where trials are judged as they come, whoever comes early meets weaker competition.
    """

    def __init__(self, search: SearchSpec) -> None:
        options, (metric, mode) = search.scheduler, search.compared
        grace, self.reduction = options.grace, options.reduction
        self.tune: Any = ASHAScheduler(
            STAGE, metric, mode, max_t=FAR, grace_period=grace, reduction_factor=self.reduction
        )
        count = int(np.log(FAR / grace) / np.log(self.reduction)) + 1
        self.rungs: dict[float, dict[str, float]] = {grace * self.reduction**k: {} for k in reversed(range(count))}
        self.sign = 1 if mode == "max" else -1

    def why(self, trial_id: str, stage: int, value: float) -> str:
        """With what a value is compared; to be asked once for each report, as Tune is."""
        for rung, there in self.rungs.items():
            if stage >= rung and trial_id not in there:
                others = list(there.values())
                there[trial_id] = self.sign * value
                if not others:
                    return f"first at rung {rung:g}"
                cutoff = self.sign * np.percentile(others, 100 * (1 - 1 / self.reduction))
                return f"rung {rung:g}: {value:.6g} against {cutoff:.6g}, by {len(others)} before it"
        return "between rungs"


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
