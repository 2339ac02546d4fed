"""A trial's tables beside what its replay has said: seeds and rates, weights, evaluations, measures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from zfscale.metrics.accuracy_matrix import fwt
from zfscale.recording import Recording
from zfscale.records import Query, Step
from zfscale.registry import is_path
from zfscale.results.layout import EVALS, LEDGER, STEPS, TRIALS
from zfscale.spec import TrialSpec
from zfscale.training.seeds import QUERY, STEP
from zfscale.verify.finding import Finding, told
from zfscale.verify.machine import Machine
from zfscale.zo.philox import derive

ALONE = "accuracy_alone"  # of the forward transfer's references, which are trained beside the trial
ROUNDED = 1e-12  # relative: what another machine's cosine may change of a learning rate

Key = tuple[int, int, str]  # of a row of `evals`: stage, task, metric
Evals = dict[Key, float]


def rates(spec: TrialSpec, told_steps: Sequence[Step], table: pa.Table) -> Iterator[Finding]:
    """Learning rates that are not those of the schedule."""
    for step, then in zip(told_steps, table["lr"].to_pylist(), strict=True):
        if not math.isclose(then, step.lr, rel_tol=ROUNDED):
            yield Finding(STEPS, f"task {step.task}, step {step.step}, lr", told(then, step.lr))


def seeds(spec: TrialSpec, told_steps: Sequence[Step], queries: Sequence[Query]) -> Iterator[Finding]:
    """Seeds that are not those which the trial's own gives; an optimizer of the user's own may draw others.

    The first steps of a fork are those of other trials, which may have drawn otherwise.
    """
    drawn = [(stop, one.step_seed, is_path(one.optimizer.name)) for stop, one in spec.lineage]
    places = {(step.task, step.step): number for number, step in enumerate(told_steps)}
    for query in queries:
        number = places[query.task, query.step]
        seed, own = next((seed, own) for stop, seed, own in drawn if stop is None or number < stop)
        expected = derive(derive(seed, query.task, STEP, query.step), QUERY, query.query)
        if not own and query.seed % 2**64 != expected % 2**64:
            place = f"task {query.task}, step {query.step}, query {query.query}, seed"
            yield Finding(LEDGER, place, told(query.seed, expected))


def weights(then: str | None, now: Sequence[str], hybrid: bool) -> Iterator[Finding]:
    """The first stage after which the weights are others: the later ones follow from it."""
    recorded = json.loads(then or "[]")
    if len(recorded) != len(now):
        yield Finding(TRIALS, "weights", f"{len(recorded)} stages are recorded, the replay has {len(now)}")
    for stage, (old, new) in enumerate(zip(recorded, now, strict=False), start=1):
        if old != new:
            of = "its snapshot, or its steps" if hybrid else f"its {STEPS}"
            why = f"other weights after stage {stage} ({told(old, new)}): {of} are not those that the trial took"
            yield Finding(LEDGER, f"task {stage}", why)
            return


def evals(then: Mapping[Key, float], now: Mapping[Key, float], machine: Machine, before: float) -> Iterator[Finding]:
    """Rows that are others than the replay's, of stages up to `before`, from where on the weights are others."""
    for key in sorted(then.keys() | now.keys()):
        stage, task, metric = key
        place, value = f"stage {stage}, task {task}, {metric}", now.get(key)
        if stage >= before:
            continue
        if key not in then:
            yield Finding(EVALS, place, f"the row is missing; it was {value!r}")
        elif value is None:
            yield Finding(EVALS, place, f"{then[key]!r} is recorded, which the trial does not measure")
        elif not machine.agrees(then[key], value, counted="accuracy" in metric):
            yield Finding(EVALS, place, told(then[key], value))


def measures(row: Mapping[str, Any], now: Mapping[str, Any], machine: Machine) -> Iterator[Finding]:
    """Measures of the row in `trials` that do not follow from the evaluations; an earlier version had fewer."""
    for name, value in now.items():
        then = row.get(name)
        if then is None and row["weights"] is None:
            continue
        if isinstance(then, (int, float)) and isinstance(value, (int, float)):
            agrees = machine.agrees(then, value, counted=True)
        else:
            agrees = then is None and (value is None or value != value)
        if not agrees:
            yield Finding(TRIALS, name, told(then, value))


def transfer(then: Mapping[Key, float]) -> dict[str, float]:
    """The forward transfer by the rows of `evals`, where they have the accuracies of models that are trained alone."""
    alone = {task: value for (_, task, metric), value in then.items() if metric == ALONE}
    single = {(stage, task): value for (stage, task, metric), value in then.items() if metric == "accuracy" and task}
    last = max((stage for stage, _ in single), default=0)
    if not alone or single.keys() != {(i, j) for i in range(1, last + 1) for j in range(1, i + 1)}:
        return {}
    matrix = [[single[i, j] for j in range(1, i + 1)] for i in range(1, last + 1)]
    return {"fwt": fwt(matrix, [math.nan, *(alone[task] for task in sorted(alone))])}


def recorded(table: pa.Table) -> dict[Key, float]:
    """The rows of `evals`."""
    return {(r["stage"], r["task"], r["metric"]): r["value"] for r in table.to_pylist()}


def witnessed(said: Recording) -> dict[Key, float]:
    """The same, as the replay has said them."""
    return {(e.stage, e.task, e.metric): e.value for e in said.evals}
