"""Continual-learning metrics: pure functions of the accuracy matrix.

The matrix `a` has one row per stage: `a[k][j]` is the accuracy on task j after learning task k, j <= k.
Papers count k and j from 1; here both count from 0, as Python does. A list of lists (ragged or square) and a
numpy array both serve; nothing above the diagonal is read. Accuracies are fractions; any other score where
more is better serves too. `counts[j]` is the number of test examples of task j.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

Vector: TypeAlias = "Sequence[float] | np.ndarray"
Matrix: TypeAlias = "Sequence[Sequence[float]] | np.ndarray"
Counts: TypeAlias = "Sequence[int] | np.ndarray"


def stage_accuracy(a: Matrix, counts: Counts, k: int) -> float:
    """Accuracy over all classes seen after stage k: A_k = sum_{j<=k} n_j a[k][j] / sum_{j<=k} n_j.

    >>> stage_accuracy([[1.0], [0.5, 1.0]], counts=[10, 30], k=1)
    0.875

    Source: Rebuffi et al., iCaRL, CVPR 2017 (section 4.1).
    """
    seen = range(k + 1)
    return float(sum(counts[j] * a[k][j] for j in seen) / sum(counts[j] for j in seen))


def average(a: Matrix, counts: Counts) -> float:
    """Avg = (1/K) sum_k A_k, the average incremental accuracy.

    Source: Rebuffi et al., iCaRL, CVPR 2017 (section 4.1).
    """
    stages = range(_stages(a))
    return sum(stage_accuracy(a, counts, k) for k in stages) / len(stages)


def last(a: Matrix, counts: Counts) -> float:
    """Last = A_K, the accuracy over all classes after the last task."""
    return stage_accuracy(a, counts, _stages(a) - 1)


def forgetting(a: Matrix) -> float:
    """Fgt = mean_{j<K} ( max_{k<K} a[k][j] - a[K][j] ): how far each old task fell from its best.

    Less is better; a negative value means the last task lifted the old ones. With one task nothing can be
    forgotten: K = 1 returns 0.0.

    Source: Chaudhry et al., Riemannian Walk, ECCV 2018 (section 3.1).
    """
    end = _stages(a) - 1
    return _mean([max(a[k][j] for k in range(j, end)) - a[end][j] for j in range(end)])


def plasticity(a: Matrix) -> float:
    """Plast = mean_k a[k][k]: the accuracy on a task that was just learned, among all classes seen by then.

    More is better. A low value beside little forgetting means that little was learned that could be forgotten.

    >>> plasticity([[0.75], [0.5, 0.25]])
    0.5

    Source: the term R_{i,i} of Lopez-Paz and Ranzato, Gradient Episodic Memory, NeurIPS 2017 (section 2), averaged as
    the learning accuracy (LA) of Riemer et al., Meta-Experience Replay, ICLR 2019 (section 5).
    """
    return _mean([a[k][k] for k in range(_stages(a))])


def bwt(a: Matrix) -> float:
    """BWT = 1/(K-1) sum_{j<K} ( a[K][j] - a[j][j] ): what later tasks did to earlier ones.

    More is better. K = 1 returns 0.0.

    Source: Lopez-Paz and Ranzato, Gradient Episodic Memory, NeurIPS 2017 (equation 3).
    """
    end = _stages(a) - 1
    return _mean([a[end][j] - a[j][j] for j in range(end)])


def fwt(a: Matrix, isolated: Vector) -> float:
    """FWT = 1/(K-1) sum_{j>=2} ( a[j][j] - isolated[j] ): what earlier tasks did for later ones.

    `isolated[j]` is the accuracy on task j of a model trained, from a random start, on task j alone;
    `isolated[0]` is not read. More is better. K = 1 returns 0.0.

    Source: Feng et al., ZeroFlow, ICML 2025 (Table 8). NOTE: Lopez-Paz and Ranzato 2017 (equation 4) compare
    a[j-1][j], before task j is learnt, with an untrained model instead.
    """
    return _mean([a[j][j] - isolated[j] for j in range(1, _stages(a))])


def _stages(a: Matrix) -> int:
    if len(a) == 0:
        raise ValueError("the accuracy matrix must have at least one stage, got none")
    return len(a)


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else 0.0
