"""What a trial will cost: forwards, which follow from the file, and an estimate of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zfscale.methods import catalogue as methods
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
    least, most = spec.optimizing.forwards(spec.optimizer.filled())
    rest = spec.train.epochs - first
    memory = _memory(spec, *inputs.of(spec))
    return Cost(per_epoch * (first + rest * least), per_epoch * (first + rest * most), memory)


def _examples(spec: TrialSpec, inputs: Inputs) -> list[int]:
    """How many training examples each stage that trains has."""
    return methods.method(spec.method.name).load().examples(spec, inputs.stream(spec))


def _memory(spec: TrialSpec, base: Any, data: Any) -> int:
    weights = sum(w.size for w in base.weights.values())
    c = base.config
    adapter = c.num_hidden_layers * 2 * c.hidden_size * spec.method.bottleneck
    by_model = weights if spec.model.train == "full" else adapter
    counts = {"all": weights, "adapter": adapter, "none": 0, "model": by_model}
    trained = counts[methods.method(spec.method.name).trained]
    state = trained * spec.optimizing.states(spec.optimizer.filled())
    values = weights + state + _activations(spec, base, first_order(spec).epochs > 0)
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
