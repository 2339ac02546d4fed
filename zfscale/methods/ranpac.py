"""RanPAC (McDonnell et al., NeurIPS 2023, arXiv 2307.02251): ridge regression on random features, no training.

Shapes: N images, K classes so far, D features of the model, M random features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zfscale.methods.base import FeatureCache
from zfscale.methods.classes import ClassLearner
from zfscale.streams.class_incremental import Task
from zfscale.training.seeds import PROJECTION, SPLIT
from zfscale.zo.philox import derive

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec

PENALTIES = tuple(10.0**k for k in range(-8, 9))  # what lambda is chosen from
FITTED = 0.8  # share of a task's training images on which each of them is tried; the others choose


class RanPac(ClassLearner):
    """argmax_c of h (G + lambda I)^-1 C with h = ReLU(f W), W [D, M] drawn once from N(0, 1) and never trained.

    G = sum h^T h [M, M] and C = sum h^T onehot(y) [M, K] add up over tasks, so no image is kept and their order does
    not matter (eq. 7 and 8 of the paper); lambda is chosen anew with each task, on its training images.

    NOTE: the paper's phase 1, an adapter trained on the first task, is left out: this is its "no phase 1" form, which
    shows what a model's features give without any training.
    """

    def __init__(self, spec: TrialSpec, base: Any, cache: FeatureCache | None = None) -> None:
        super().__init__(spec, base, cache)
        options: Any = spec.method.filled()
        width = options.random_features
        self._projection: torch.Tensor | None = None
        self._gram = torch.zeros(width, width, dtype=torch.float64)
        self._sums = torch.zeros(width, 0, dtype=torch.float64)
        self.weights = torch.zeros(width, 0, dtype=torch.float64)  # [M, K]

    def made(self, network: Any) -> None:
        network.freeze()

    @classmethod
    def trains(cls, spec: TrialSpec, stage: int) -> bool:
        return False

    def remember(self, task: Task) -> None:
        h = self._lift(task, "train")
        y = torch.nn.functional.one_hot(torch.from_numpy(task.train_y - task.labels.start), len(task.labels)).double()
        self._gram += h.T @ h
        self._sums = torch.cat([self._sums, h.T @ y], 1)
        order = np.random.Generator(np.random.Philox(key=self.seed(SPLIT, task))).permutation(len(h))
        self.weights = ridge(self._gram, self._sums, choose(h[order], y[order]))

    def predict(self, task: Task) -> np.ndarray:
        return (self._lift(task, "test") @ self.weights).argmax(1).numpy()

    def _lift(self, task: Task, split: str) -> torch.Tensor:
        """Random features float64 [N, M], on the CPU."""
        f = self.pretrained_features(task, split).cpu().double()
        return torch.relu(f @ self.projection(f.shape[1]))

    def projection(self, width: int) -> torch.Tensor:
        """W float64 [D, M], for features of this width; those that an earlier trial has kept need no network."""
        if self._projection is None:
            generator = torch.Generator().manual_seed(derive(self.spec.seed, 0, PROJECTION))
            self._projection = torch.randn(width, len(self._gram), generator=generator, dtype=torch.float64)
        return self._projection


def ridge(gram: torch.Tensor, sums: torch.Tensor, penalty: float) -> torch.Tensor:
    """(G + lambda I)^-1 C, float64 [M, K]."""
    return torch.linalg.solve(gram + penalty * torch.eye(len(gram), dtype=gram.dtype), sums)


def choose(h: torch.Tensor, y: torch.Tensor) -> float:
    """The penalty with the least squared error on the last fifth of h [N, M], y [N, K] when fitted to the rest.

    All of them need one decomposition, of the smaller of h h^T and h^T h: with h h^T = U diag(s) U^T, the solution
    (h^T h + lambda I)^-1 h^T y is h^T U (diag(s) + lambda I)^-1 U^T y. Of a single image, the largest.
    """
    n = int(len(h) * FITTED)
    if n == 0:
        return PENALTIES[-1]
    (fit, held), (y_fit, y_held) = (h[:n], h[n:]), (y[:n], y[n:])
    if n < h.shape[1]:
        values, vectors = torch.linalg.eigh(fit @ fit.T)
        left, right = held @ (fit.T @ vectors), vectors.T @ y_fit
    else:
        values, vectors = torch.linalg.eigh(fit.T @ fit)
        left, right = held @ vectors, vectors.T @ (fit.T @ y_fit)
    values = values.clamp(min=0)[:, None]
    errors = [float(((left @ (right / (values + penalty))) - y_held).square().mean()) for penalty in PENALTIES]
    return PENALTIES[int(np.argmin(errors))]
