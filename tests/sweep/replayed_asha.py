"""What asha would have spent on a sweep that ran whole: by its reports after each stage, and every N steps.

    python -m tests.sweep.replayed_asha results/vit_classil-tune ["ease zo"]

Ray Tune's rule is asked on what the trials have recorded, one trial after another, in twenty random orders; nothing is
trained. The best configuration is that of the best trial which was not stopped, by its mean over seeds. The control
keeps as many trials, drawn at random, a hundred times an order.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.dataset as ds

from zfscale.spec import SearchSpec
from zfscale.sweep.judge import Known
from zfscale.sweep.rules import STAGE, Asha

ORDERS, STEPS, REDUCTIONS = 20, (23, 46, 92), (2, 3, 4)
DRAWS = 100  # of the control, for each order
DIVERGED = 1e9  # a loss that is not finite


class Report(NamedTuple):
    """What a trial has said, and the forwards it had made by then."""

    time: int
    value: float
    forwards: int


def table(results: Path, name: str) -> Any:
    return ds.dataset(results / name, format="parquet").to_table().to_pandas()


def after_stages(steps: Any, evals: Any) -> list[Report]:
    """The average accuracy after each stage."""
    evals = evals.sort_values("stage")
    means = np.cumsum(evals.value.to_numpy()) / np.arange(1, len(evals) + 1)
    made = [steps[steps.task <= stage].forwards.max() for stage in evals.stage]
    return [Report(i, *both) for i, both in enumerate(zip(means, made, strict=True), start=1)]


def inside_stages(steps: Any, every: int) -> list[Report]:
    """The mean loss of every N steps."""
    losses, made = steps.loss.to_numpy(), steps.forwards.to_numpy()
    ends = range(every, len(losses) + 1, every)
    means = [float(np.mean(losses[end - every : end])) for end in ends]
    finite = [mean if math.isfinite(mean) else DIVERGED for mean in means]
    return [Report(i, mean, made[end - 1]) for i, (mean, end) in enumerate(zip(finite, ends, strict=True), start=1)]


def spent(rule: Asha, metric: str, reports: dict[str, list[Report]], order: Sequence[str]) -> dict[str, int | None]:
    """Trial -> the forwards after which it is stopped; None if it never is."""
    found: dict[str, int | None] = dict.fromkeys(order)
    for trial in order:
        rule.tune.on_trial_add(None, Known(trial))
        for report in reports[trial][:-1]:
            result = {STAGE: report.time, metric: report.value}
            if rule.tune.on_trial_result(None, Known(trial), result) == rule.tune.STOP:
                found[trial] = report.forwards
                break
    return found


def main(results: Path, only: str = "") -> None:
    """Print the table; of the trials with this method and optimizers that begin so, such as `ease zo`, if asked."""
    trials, evals = table(results, "trials").set_index("trial_id"), table(results, "evals")
    evals = dict(list(evals[evals.metric == "stage_accuracy"].groupby("trial_id")))
    steps = dict(list(table(results, "steps").sort_values(["task", "step"]).groupby("trial_id")))
    config = trials["method.name"] + " " + trials["optimizer.name"] + " " + trials["optimizer.lr"].map(str)
    trials, config = trials[config.str.startswith(only)], config[config.str.startswith(only)]
    means = trials.groupby(config).avg_accuracy.mean()
    best, images = means.max(), trials.evaluated_images.iloc[0] * trials.groupby(config).size().max()
    error = math.sqrt(best * (1 - best) / images)
    print(f"{len(trials)} trials; best {means.idxmax()} with {best:.4f}, binomial error {error:.4f}")

    def of_best(kept: Sequence[str]) -> float:
        """The mean over seeds of the configuration whose trial is the best of these."""
        return float(means[config[max(kept, key=lambda t: trials.avg_accuracy[t])]])

    for every in (0, *STEPS):
        reports = {
            t: inside_stages(steps[t], every) if every else after_stages(steps[t], evals[t]) for t in trials.index
        }
        for reduction in REDUCTIONS:
            search = SearchSpec.model_validate({"scheduler": {"name": "asha", "reduction": reduction, "every": every}})
            shares, found, control = [], [], 0
            for seed in range(ORDERS):
                order = random.Random(seed).sample(list(trials.index), len(trials))
                at = spent(Asha(search), search.compared[0], reports, order)
                shares.append(
                    sum(trials.forwards[t] if of is None else of for t, of in at.items()) / trials.forwards.sum()
                )
                kept = [t for t in order if at[t] is None]
                found.append(of_best(kept))
                draw = random.Random(seed)
                control += sum(of_best(draw.sample(order, len(kept))) >= best - error for _ in range(DRAWS))
            near = sum(mean >= best - error for mean in found)
            where = f"every {every} steps" if every else "after stages"
            share, mean = statistics.median(shares), statistics.median(found)
            words = f"{share:6.1%} of the forwards, best {mean:.4f}, within one error in {near} of {ORDERS} orders"
            words += f"; as many at random: {control / DRAWS:.1f}"
            print(f"{where:14} reduction {reduction}: {words}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
