"""Searchers on a response surface that a sweep has recorded: how good the best of n trials is, median of 40 searches.

    python -m tests.sweep.replayed results/search_surface

Each trial is read off the surface, between its points by interpolation; nothing is trained. Proposals are made by the
code that makes them in a sweep, `random` being the draws of a file. The searches stand at points of a grid, where
all algorithms begin with the same draws, so that their differences from `random` are paired.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import yaml
from scipy.interpolate import RegularGridInterpolator

from zfscale import spec
from zfscale.records import Status
from zfscale.results.decisions import Decisions
from zfscale.results.proposals import Study, Told
from zfscale.spec import TrialSpec
from zfscale.sweep.study import Search

COUNTS, SEARCHES = (5, 10, 20, 30), 40
AXES = ("optimizer.lr", "optimizer.momentum")
Value = Callable[[TrialSpec], float]


def surface(results: Path) -> tuple[Value, dict[str, Any], float]:
    """The metric as a function of a trial, the space that it covers, and its best point."""
    table = ds.dataset(results / "trials", format="parquet").to_table(columns=[*AXES, "avg_accuracy"]).to_pandas()
    grid = table.pivot(index=AXES[0], columns=AXES[1], values="avg_accuracy").fillna(0.0)
    rates, momenta = grid.index.to_numpy(), grid.columns.to_numpy()
    at = RegularGridInterpolator((np.log(rates), momenta), grid.to_numpy())
    space = {
        AXES[0]: {"loguniform": [float(rates[0]), float(rates[-1])]},
        AXES[1]: {"uniform": [float(momenta[0]), float(momenta[-1])]},
    }
    return lambda t: float(at((np.log(t.optimizer.lr), t.optimizer.momentum))), space, float(grid.to_numpy().max())


def sweep(folder: Path, space: dict[str, Any], algorithm: str) -> spec.Sweep:
    """The searches of one algorithm."""
    content = {
        "name": "replayed",
        "model": {"name": "embedded/vit-nano"},
        "stream": {"dataset": "digits", "tasks": 2, "validation": 0.3},
        "method": {"name": "finetune"},
        "optimizer": {"name": "fo-sgd"},
        "train": {"epochs": 2, "batch_size": 128},
        "space": {**space, "stream.class_order_seed": {"grid": list(range(SEARCHES))}},
        "search": {"samples": max(COUNTS), "algorithm": algorithm},
    }
    file = folder / f"{algorithm}.yaml"
    file.write_text(yaml.safe_dump(content))
    return spec.load(file)


def searches(folder: Path, made: spec.Sweep, value: Value) -> Iterator[list[float]]:
    """The values of each search's trials in order."""
    if not made.cells:
        for i in range(SEARCHES):
            yield [value(trial) for trial in made.trials if trial.stream.class_order_seed == i]
    for cell in made.cells:
        search, found = Search(Study(cell), Decisions(folder / cell.key), {}), list[float]()
        while (proposed := search.propose()) is not None:
            (trial,) = cell.trials(proposed.values)
            found.append(value(trial))
            search.tell(Told(proposed.n, Status.FINISHED, found[-1]), trial.trial_id)
        yield found


def main(results: Path) -> None:
    """Print the table."""
    value, space, best = surface(results)
    print(f"best of the surface {best:.4f}; best of n trials, median of {SEARCHES} (how many reach 99 % of the best),")
    print("and how much more than random, mean ± standard error")
    bests: dict[str, np.ndarray] = {}  # algorithm -> best of n trials, [searches, counts]
    with tempfile.TemporaryDirectory() as place:
        for algorithm in ("random", "sobol", "optuna", "hyperopt", "bayesopt"):
            folder = Path(place) / algorithm
            folder.mkdir()
            found = searches(folder, sweep(folder, space, algorithm), value)
            made = bests[algorithm] = 100 * np.array([[max(one[:n]) for n in COUNTS] for one in found])
            reached = (made >= 99 * best).sum(0)
            more = made - bests["random"]
            error = more.std(0, ddof=1) / math.sqrt(len(more))
            columns = zip(COUNTS, np.median(made, 0), reached, more.mean(0), error, strict=True)
            words = [f"n={n}: {m:.2f} ({near:2}), {d:+.2f} ± {e:.2f}" for n, m, near, d, e in columns]
            print(f"{algorithm:10}", *words, sep="  ", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
