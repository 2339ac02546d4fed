"""What a trial will cost: forwards, which follow from the file, and an estimate of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zfscale.methods import METHODS
from zfscale.methods.fit import steps_per_epoch
from zfscale.methods.trainers import first_order
from zfscale.models.vit import BaseModel
from zfscale.spec import TrialSpec
from zfscale.streams.datasets import ImageData
from zfscale.sweep.inputs import Inputs

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
    base, data = inputs.of(spec)
    method = METHODS[spec.method.name]
    sizes = [len(task.train_y) for task in inputs.stream(spec) if method.trains(task.index)]
    per_epoch = sum(steps_per_epoch(n, spec.train.batch_size) for n in sizes)
    first = first_order(spec).epochs
    least, most = forwards_per_step(spec.optimizer)
    rest = spec.train.epochs - first
    return Cost(per_epoch * (first + rest * least), per_epoch * (first + rest * most), _memory(spec, base, data))


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


def _memory(spec: TrialSpec, base: BaseModel, data: ImageData) -> int:
    weights = sum(w.size for w in base.weights.values())
    adapter = base.config.num_hidden_layers * 2 * base.config.hidden_size * spec.method.bottleneck
    trained = {"finetune": weights, "simplecil": 0}.get(spec.method.name, adapter)
    first_order = spec.optimizer.name.startswith("fo-")
    moments = 2 if "adam" in spec.optimizer.name else int(spec.optimizer.momentum > 0)
    state = trained * (moments + (1 if first_order else 0))
    values = weights + state + _activations(spec, base, first_order)
    arrays: Sequence[np.ndarray] = (data.train_x, data.test_x)
    return PROCESS_BYTES + values * FLOAT + sum(a.nbytes for a in arrays)


def _activations(spec: TrialSpec, base: BaseModel, first_order: bool) -> int:
    """Values kept: 17 D + 2.5 heads N a token and block for a backward (Korthikanti et al. 2022, eq. 2, in values);
    a forward alone keeps one block's.
    """
    c = base.config
    tokens = (c.image_size // c.patch_size) ** 2 + 1
    a_block = spec.train.batch_size * tokens * (17 * c.hidden_size + 5 * c.num_attention_heads * tokens // 2)
    return a_block * (c.num_hidden_layers if first_order else 1)
