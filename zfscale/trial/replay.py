"""`zfscale replay`: the model of a finished trial at any step, rebuilt from base weights and ledger, bit for bit.

No forward runs: theta after step n is a function of the base weights and the first n ledger rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zfscale.errors import ZfscaleError, nearest
from zfscale.methods import catalogue as methods
from zfscale.methods.base import Learner
from zfscale.records import Status
from zfscale.results.check import contents, look
from zfscale.results.halving import in_parts
from zfscale.results.reading import DamagedFile
from zfscale.results.resuming import steps
from zfscale.results.storage import Place, storage
from zfscale.results.tables import statuses, versions
from zfscale.spec import EngineSpec, TrialSpec
from zfscale.training.relay import Relay
from zfscale.training.snapshots import Snapshots
from zfscale.trial.fingerprints import unchanged
from zfscale.trial.inputs import Inputs
from zfscale.zo.exact import ARITHMETIC
from zfscale.zo.ledger import Entry


@dataclass(frozen=True)
class Taken:
    """A step of a finished trial; a first-order one has no queries."""

    task: int
    lr: float
    entry: Entry


def replay(results: Place, trial_id: str, out: Path, step: int | None = None) -> int:
    """Write the model after `step` steps (all, if None) of a trial to the directory `out`; how many were replayed.

    The directory loads with `from_pretrained`; adapters and head, which transformers does not know, lie beside it in
    `zfscale.safetensors`. Errors: ZfscaleError for an unknown trial, a first-order one, a step it never took, one
    inside a hybrid's first-order phase, for a file that is not as the trial wrote it, which it names, and where the
    model or the training data are not what the trial has read.
    """
    row = finished(results, trial_id)
    spec = TrialSpec.from_json(row["spec"])
    computed = in_parts(spec, row["micro_batch"])
    if spec.optimizing.first_order:
        raise ZfscaleError(f"trial {trial_id}: {spec.optimizer.name} is first-order and has no ledger to replay")
    taken = list(steps_taken(results, row))
    step = len(taken) if step is None else step
    if not 0 <= step <= len(taken):
        raise ZfscaleError(f"--step {step}: trial {trial_id} took {len(taken)} steps; allowed: 0 to {len(taken)}")
    if 0 < step < len(taken) and inside_first_order(taken[step - 1], taken[step]):
        raise ZfscaleError(f"--step {step}: inside a first-order phase, of which trial {trial_id} keeps only the end")
    inputs = Inputs([computed], objectives=False)
    unchanged(row, computed, inputs, tested=False)
    method = rebuild(computed, taken[:step], Snapshots(results, trial_id), inputs)
    save(method, spec, out, step)
    return step


def inside_first_order(before: Taken, after: Taken) -> bool:
    """Whether two steps in a row are of one first-order phase: neither has queries, and both are of one task."""
    return before.task == after.task and not before.entry.seeds and not after.entry.seeds


def rebuild(spec: TrialSpec, taken: list[Taken], snapshots: Snapshots, inputs: Inputs | None = None) -> Learner[Any]:
    """The method as it was after these steps, the first of the trial, in one process whatever the trial ran on."""
    spec, before = spec.model_copy(update={"engine": EngineSpec()}), 0
    inputs = inputs or Inputs([spec], objectives=False)
    method: Learner[Any] = methods.method(spec.method.name).load()(spec, inputs.of(spec)[0])
    for task in method.stages(inputs.stream(spec)):
        method.begin(task)
        if method.trains(spec, task.index):
            mine, taken = split(taken, task.index)
            relay = Relay(method.network, method.engine, task, method.legs(task, before))
            first = sum(not step.entry.seeds for step in mine)
            trainer = relay.at(first)
            if first:
                snapshots.load(task.index, trainer.leaves)
            for number, step in enumerate(mine[first:], start=first):
                trainer = relay.at(number)
                trainer.replay(step.entry, step.lr, number)
            trainer.close()
            before += len(mine)
        if spec.trains and not taken:
            break
        method.settle(task)
    return method


def split(taken: list[Taken], task_index: int) -> tuple[list[Taken], list[Taken]]:
    """The steps of a task, the first there are, and the rest."""
    count = sum(step.task == task_index for step in taken)
    return taken[:count], taken[count:]


def finished(results: Place, trial_id: str) -> dict[str, Any]:
    """The row of a finished trial in `trials`; ZfscaleError if there is none, if it is damaged or of other noise."""
    found = look(results, ["versions", "micro_batch", "inputs"], only=[trial_id])
    if found.faults:
        raise ZfscaleError(f"{storage(results)}/{found.faults[0]}; run the sweep again to make this trial again")
    row = next(iter(found.rows), None)
    if row is not None and row["status"] != Status.FINISHED:
        raise ZfscaleError(f"{results}: trial {trial_id} has not finished, its status is {row['status']}")
    if row is None:
        others = [i for i, status in statuses(results).items() if status is Status.FINISHED]
        hint = nearest(trial_id, others) if others else "there are none"
        raise ZfscaleError(f"{results}: no finished trial {trial_id!r}; {hint}")
    if versions(row["versions"]).get("arithmetic") != str(ARITHMETIC):
        raise ZfscaleError(f"trial {trial_id}: of a version with other noise; run it again to replay it")
    return row


def steps_taken(results: Place, row: dict[str, Any]) -> Iterator[Taken]:
    """The steps of a trial in the order they were taken; ZfscaleError, with the file's name, if one is missing."""
    try:
        tables = contents(storage(results), row)
    except DamagedFile as error:
        raise ZfscaleError(f"{storage(results)}/{error}; run the sweep again to make this trial again") from error
    for s, entry in steps(tables):
        yield Taken(s["task"], s["lr"], entry)


def save(method: Learner[Any], spec: TrialSpec, out: Path, step: int) -> None:
    """The model as `save_pretrained` writes it, what transformers does not know beside it, and where it came from."""
    method.network.save(out)
    origin = {"trial": spec.trial_id, "step": step, "spec": json.loads(spec.to_json())}
    (out / "zfscale.json").write_text(json.dumps(origin, indent=2) + "\n")
