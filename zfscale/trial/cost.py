"""What a trial will cost: forwards, which follow from the file, and an estimate of memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from zfscale.methods import catalogue as methods
from zfscale.models.catalogue import family
from zfscale.models.precision import precision_of
from zfscale.spec import TrialSpec
from zfscale.spec.kept import Kept
from zfscale.training.fit import steps_per_epoch
from zfscale.training.trainers import first_order
from zfscale.trial.inputs import Inputs
from zfscale.zo.catalogue import optimizer

PROCESS_BYTES = 480 << 20  # a worker before it has a model: Python, torch, DeepSpeed, transformers
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Cost:
    """Expected training forwards (conserve looks at one candidate or two: a range) and peak memory of a trial."""

    least: int
    most: int
    memory_bytes: int


def cost(spec: TrialSpec, inputs: Inputs) -> Cost:
    """Forwards follow from the file exactly; memory is an estimate (weights + optimizer state + activations + data).

    The steps that a fork shares cost it no forward.
    """
    return Cost(*_forwards(spec, _per_epoch(spec, inputs)), _memory(spec, *inputs.of(spec)))


def expected(specs: Iterable[TrialSpec], inputs: Inputs) -> dict[str, float]:
    """Trial id -> expected training forwards, the middle of their range; quick for many trials that are alike."""
    steps = Kept[list[int]]()
    found = {}
    for spec in specs:
        # What decides the steps of an epoch: seeds, rates and the rest of the optimizer do not.
        blocks = (spec.model, spec.stream, spec.method, spec.train, spec.trains)
        found[spec.trial_id] = sum(_forwards(spec, steps.of(blocks, partial(_per_epoch, spec, inputs)))) / 2
    return found


def _forwards(spec: TrialSpec, per_epoch: list[int]) -> tuple[int, int]:
    first, epochs = first_order(spec).epochs, spec.train.epochs
    least, most = spec.optimizing.forwards(spec.optimizer.filled())
    once, rest, shared = 0, 0, 0 if spec.fork is None else spec.fork.step
    for steps in per_epoch:  # of a stage: those of a first-order phase come first
        left = max(steps * epochs - shared, 0)
        late = min(left, steps * (epochs - first))
        shared, once, rest = max(shared - steps * epochs, 0), once + left - late, rest + late
    return once + rest * least, once + rest * most


def _per_epoch(spec: TrialSpec, inputs: Inputs) -> list[int]:
    """Steps that an epoch of each stage takes that trains."""
    return [steps_per_epoch(n, spec.train.batch_size) for n in _examples(spec, inputs)]


def _examples(spec: TrialSpec, inputs: Inputs) -> list[int]:
    """How many training examples each stage that trains has."""
    if not spec.trains:
        return []
    return methods.method(spec.method.name).load().examples(spec, inputs.stream(spec))


def _memory(spec: TrialSpec, base: Any, data: Any) -> int:
    """A forward keeps the activations of one block, a backward those of all blocks and the outputs twice.

    Each weight takes what its number format does; optimizers keep their state in float32. A hybrid needs the larger of
    its two phases.
    """
    price, phase = family(spec).price(spec, base), first_order(spec)
    by_model = price.weights if spec.model.train == "full" else price.adapter
    counts = {"all": price.weights, "adapter": price.adapter, "none": 0, "model": by_model}
    trained = counts[methods.method(spec.method.name).trained]
    added = trained if trained < price.weights else 0
    format = precision_of(spec.train.precision, spec.engine.dtype)
    weights = (price.weights + added - trained) * format.frozen.itemsize + trained * format.trained.itemsize
    states = max(each.optimizing.states(each.optimizer.filled()) for _, each in spec.lineage)
    kept = price.block + price.outputs
    if phase.epochs:
        states = max(states, optimizer(phase.name).states(spec.optimizer.filled()))
        kept = price.block * price.blocks + 2 * price.outputs
    return PROCESS_BYTES + weights + trained * states * FLOAT + kept * format.compute.itemsize + _bytes(data)


def _bytes(data: Any) -> int:
    """Of all arrays of the data."""
    arrays = [a for task in getattr(data, "tasks", [data]) for a in vars(task).values() if isinstance(a, np.ndarray)]
    return sum(a.nbytes for a in arrays)
