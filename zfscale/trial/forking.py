"""How a fork starts: with its parent's first steps in its ledger, and beside it the weights that no ledger has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zfscale.errors import ZfscaleError
from zfscale.methods import catalogue as methods
from zfscale.results.parents import shared, shared_so_far
from zfscale.results.storage import Storage, storage
from zfscale.spec.domains import domain_order
from zfscale.spec.inheriting import may_differ
from zfscale.streams.catalogue import stream
from zfscale.training.snapshots import Snapshots
from zfscale.zo.ledger import MAGIC, Ledger, entries

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec
    from zfscale.spec.names import Finding


@dataclass(frozen=True)
class Start:
    """What a worker needs to begin a fork.

    Args:
        ledger: The steps that are shared, as the file of a running trial.
        snapshots: Task -> the snapshot at the end of its first-order phase, a file, of a hybrid.
        inputs: The content hashes of what the parent has read, as its row has them.
        halved: Whether it ran with half its micro-batch, since memory had run out.
    """

    ledger: bytes
    snapshots: dict[int, bytes]
    inputs: str | None
    halved: bool = False

    def give(self, ledger: Ledger, snapshots: Snapshots) -> None:
        """Let a trial begin after the shared steps; one that has begun before, and is further, goes on there."""
        past = list(entries(self.ledger))
        if len(ledger.past) < len(past):
            ledger.begin_with(past)
        for task, data in self.snapshots.items():
            snapshots.put(task, data)


def inherits_size(spec: TrialSpec) -> bool:
    """Whether a fork is to compute as much at once as its parent, whose losses would else differ in their last bits."""
    return spec.parent is not None and spec.train.micro_batch_size == spec.parent.train.micro_batch_size


def start_key(spec: TrialSpec) -> str:
    """Forks with equal keys begin alike; empty of a trial that is no fork."""
    fork = spec.fork
    return "" if fork is None else f"fork {fork.results} {fork.trial} {fork.step}"


def start_of(spec: TrialSpec, running: Storage | None = None) -> Start:
    """How a fork begins, from the results of its parent, or from those given, in which its parent may still run.

    Errors: ZfscaleError with the name of a file of the parent that is damaged or missing.
    """
    fork = spec.fork
    assert fork is not None
    assert fork.results is not None, "it was filled in"
    there = running or storage(fork.results)
    found = (shared_so_far if running else shared)(there, fork.trial, fork.step)
    kept = Snapshots(there, fork.trial)
    if len(found.steps) < fork.step:
        wanted = f"{len(found.steps)} steps, and {fork.step} are to be shared"
        raise ZfscaleError(f"fork.trial: {there}: trial {fork.trial} took {wanted}")
    tasks = sorted({task for task, entry in found.steps if not entry.seeds})
    ledger = MAGIC + b"".join(entry.pack() for _, entry in found.steps)
    return Start(ledger, {task: kept.file(task) for task in tasks}, found.inputs, found.halved)


def misfit(spec: TrialSpec, data: Any, own: Any) -> Finding | None:
    """What of a fork's stream is not as the parent had it in the tasks that were begun before the fork.

    Args:
        spec: The fork.
        data: That of its stream.
        own: Its stream.
    """
    fork, parent = spec.fork, spec.parent
    if fork is None or parent is None or spec.stream == parent.stream:
        return None
    mine, other = spec.stream.model_dump(), parent.stream.model_dump()
    others = [key for key in mine if mine[key] != other.get(key)]
    kind, begun = stream(spec.stream.kind).load(), fork.tasks
    if methods.method(spec.method.name).load().stage_count(own) != len(own):
        same = False  # its stages are made of all tasks
    elif "domains" in others:
        same = _domains(spec)[:begun] == _domains(parent)[:begun]
    else:
        same = kind.misfit(parent.stream, data) is None and _alike(own, kind.of(parent.stream, data), begun)
    arranged = [key for key in others if may_differ(spec, "stream", key)]
    what = "the first task" if begun == 1 else f"the first {begun} tasks"
    message = f"{what}, which had begun at step {fork.step} of {fork.trial}, would be other than it had"
    return None if same else (("stream", arranged[0]), f"{message}; allowed: another order of those that come later")


def _domains(spec: TrialSpec) -> list[Any]:
    """The domains of a stream in the order of their arrival."""
    listed = spec.stream.domains or ()
    return [listed[i] for i in domain_order(len(listed), spec.stream.order_seed)]


def _alike(own: Any, other: Any, count: int) -> bool:
    """Whether the first stages of two streams are trained on the same."""
    pairs = list(zip(list(own)[:count], list(other)[:count], strict=False))
    return len(pairs) == count and all(
        np.array_equal(a.train_x, b.train_x) and np.array_equal(a.train_y, b.train_y) for a, b in pairs
    )
