"""Metrics of continual pre-training: pure functions of the matrix of held-out losses.

`loss[i][j]` is the held-out loss (nats a token, squared error a pixel) on domain j after stage i; row 0 is the base
model, row i the model after learning domain i, so rows 1..K and columns 0..K-1 (domain j is learned at stage j + 1).
Less is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Matrix = Sequence[Sequence[float]]


def final_loss(loss: Matrix) -> float:
    """Mean over domains of the loss after the last stage."""
    return _mean(loss[-1])


def learning_gain(loss: Matrix, one_by_one: bool = True) -> float:
    """Mean over domains of how far the loss on a domain fell while it was learned: L[j][j] - L[j + 1][j].

    Of joint training, whose one stage learns all domains (not `one_by_one`), L[0][j] - L[1][j].
    """
    if not one_by_one:
        return _mean([before - after for before, after in zip(*loss, strict=True)])
    return _mean([loss[j][j] - loss[j + 1][j] for j in range(_learned(loss))])


def forgetting(loss: Matrix) -> float:
    """Mean over all but the last domain of the rise above its best earlier stage: L[K][j] - min_{i<K} L[i][j].

    The base model counts as a stage. One domain: 0.
    """
    end = _learned(loss)
    return _mean([loss[end][j] - min(loss[i][j] for i in range(end)) for j in range(end - 1)])


def backward_transfer(loss: Matrix) -> float:
    """Mean over all but the last domain of L[j + 1][j] - L[K][j]; positive: later domains helped. One domain: 0."""
    end = _learned(loss)
    return _mean([loss[j + 1][j] - loss[end][j] for j in range(end - 1)])


def forward_transfer(loss: Matrix) -> float:
    """Mean over all but the first domain of L[0][j] - L[j][j]: what earlier domains did before it was seen."""
    return _mean([loss[0][j] - loss[j][j] for j in range(1, _learned(loss))])


def perplexity(loss: float) -> float:
    """exp(loss); infinite where that overflows, NaN of NaN."""
    return math.inf if loss >= 700 else math.exp(loss)


def bits_per_byte(loss: float, bytes_per_token: float) -> float:
    """The loss in bits, per byte of text instead of per token: comparable across tokenizers."""
    return loss / math.log(2) / bytes_per_token


def _learned(loss: Matrix) -> int:
    """Stages after the base."""
    assert len(loss) >= 2, "a base row and at least one stage"
    return len(loss) - 1


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else 0.0
