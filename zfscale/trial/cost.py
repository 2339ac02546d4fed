"""What a trial will cost: forwards, which follow from the file, and an estimate of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zfscale.methods import METHODS
from zfscale.methods.replay import replayed
from zfscale.spec import TrialSpec
from zfscale.training.fit import steps_per_epoch
from zfscale.training.trainers import first_order
from zfscale.trial.inputs import Inputs

PROCESS_BYTES = 480 << 20  # a worker before it has a model: Python, torch, DeepSpeed, transformers
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Cost:
    """Expected training forwards (conserve looks at one candidate or two: a range) and peak memory of a trial."""

    least: int
    most: int
    memory_bytes: int


def cost(spec: TrialSpec, inputs: Inputs) -> Cost:
    """Forwards follow from the file exactly; memory is an estimate (weights + optimizer state + activations + data)."""
    sizes = _examples(spec, inputs)
    per_epoch = sum(steps_per_epoch(n, spec.train.batch_size) for n in sizes)
    first = first_order(spec).epochs
    least, most = forwards_per_step(spec.optimizer)
    rest = spec.train.epochs - first
    memory = _memory(spec, *inputs.of(spec))
    return Cost(per_epoch * (first + rest * least), per_epoch * (first + rest * most), memory)


def _examples(spec: TrialSpec, inputs: Inputs) -> list[int]:
    """How many training examples each stage that trains has."""
    stream, name = inputs.stream(spec), spec.method.name
    if name in METHODS:
        return [len(task.train_y) for task in stream if METHODS[name].trains(task.index)]
    sizes = [len(task.train_x) for task in stream]
    if name == "replay":
        again = [replayed(spec.method, size) for size in sizes]
        return [size + sum(again[:k]) for k, size in enumerate(sizes)]
    return {"zero-shot": [], "joint": [sum(sizes)]}.get(name, sizes)


def forwards_per_step(o: Any) -> tuple[int, int]:
    """(least, most) forwards of one step; a first-order step counts its one forward, not its backward."""
    if o.name.startswith("fo-"):
        return 1, 1
    if o.name.startswith("forward-grad"):
        estimate, here = o.queries, 0
    elif o.sides == 1:
        estimate, here = o.queries + 1, 0
    else:
        estimate, here = 2 * o.queries, 1  # the estimate has not looked at L(theta): conserve must
    if not o.name.endswith("-conserve"):
        return estimate, estimate
    return estimate + here + 1, estimate + here + 2


def _memory(spec: TrialSpec, base: Any, data: Any) -> int:
    weights = sum(w.size for w in base.weights.values())
    c = base.config
    adapter = c.num_hidden_layers * 2 * c.hidden_size * spec.method.bottleneck
    kind = spec.method.name if spec.method.name in METHODS else spec.model.train
    trained = {"finetune": weights, "full": weights, "simplecil": 0}.get(kind, adapter)
    first_order = spec.optimizer.name.startswith("fo-")
    moments = 2 if "adam" in spec.optimizer.name else int(spec.optimizer.momentum > 0)
    state = trained * (moments + (1 if first_order else 0))
    values = weights + state + _activations(spec, base, first_order)
    return PROCESS_BYTES + values * FLOAT + _bytes(data)


def _bytes(data: Any) -> int:
    """Of all arrays of the data."""
    arrays = [a for task in getattr(data, "tasks", [data]) for a in vars(task).values() if isinstance(a, np.ndarray)]
    return sum(a.nbytes for a in arrays)


def _activations(spec: TrialSpec, base: Any, first_order: bool) -> int:
    """Values kept: 17 D + 2.5 heads N a token and block for a backward (Korthikanti et al. 2022, eq. 2, in values);
    a forward alone keeps one block's. A language model's logits come on top, twice for a backward.
    """
    c = base.config
    tokens = spec.stream.block_size or (c.image_size // c.patch_size) ** 2 + 1
    batch = spec.train.micro_batch_size or spec.train.batch_size
    a_block = batch * tokens * (17 * c.hidden_size + 5 * c.num_attention_heads * tokens // 2)
    logits = batch * tokens * getattr(c, "vocab_size", 0)
    return a_block * (c.num_hidden_layers if first_order else 1) + logits * (2 if first_order else 1)
