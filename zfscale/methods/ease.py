"""EASE (Zhou et al., CVPR 2024, arXiv 2403.12030): an adapter, hence a feature subspace, a task; prototypes in all.

Shapes: T tasks and subspaces, K classes so far, D features of one subspace, N images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from zfscale.methods.base import FeatureCache
from zfscale.methods.classes import ClassLearner
from zfscale.methods.prototypes import class_means, cosine
from zfscale.streams.class_incremental import Task

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


class Ease(ClassLearner):
    """Old classes get the prototypes they lack in newer subspaces by semantic similarity (eq. 6-8 of the paper).

    With `adapters_kept`, only as many tasks, the first ones, train an adapter; the later ones are classified in the
    subspaces of these, the last of which is then their own.

    NOTE: so the paper's toolbox runs OmniBenchmark, with one; but it takes one cosine over all subspaces there, where
    this stays with the sum of eq. 9.
    """

    has_adapters = True

    def __init__(self, spec: TrialSpec, base: Any, cache: FeatureCache | None = None) -> None:
        super().__init__(spec, base, cache)
        self._labels: list[range] = []
        self._measured: list[list[torch.Tensor]] = []  # [task i][subspace j <= i]: prototypes [classes of i, D]
        self._frozen_means: dict[tuple[int, int], torch.Tensor] = {}  # (task, subspace) -> prototypes, while it trains
        self._plain: list[torch.Tensor] = []  # [task i]: prototypes in the pretrained space, if beta > 0
        self._prototypes: list[torch.Tensor] = []  # [subspace j]: [K, D], measured or completed

    def made(self, network: Any) -> None:
        network.freeze()

    @classmethod
    def trains(cls, spec: TrialSpec, stage: int) -> bool:
        kept = getattr(spec.method.filled(), "adapters_kept", None)
        return kept is None or stage <= kept

    def begin(self, task: Task) -> None:
        if self.trains(self.spec, task.index):
            self.start_adapter(task)

    def offset(self, task: Task) -> int:
        return task.labels.start

    def settle(self, task: Task) -> None:
        self.network.head = None
        self.freeze()

    def remember(self, task: Task) -> None:
        self._labels.append(task.labels)
        self._measured.append([self._means(task, j) for j in range(len(self.network.adapters.sets))])
        self._frozen_means.clear()
        if self.spec.method.beta:
            plain = self.pretrained_features(task, "train")
            self._plain.append(class_means(plain, task.train_y, task.labels))
        self._prototypes = complete(self._measured)

    def logits(self, images: np.ndarray, task: Task) -> torch.Tensor:
        *old, newest = range(len(self.network.adapters.sets))
        beta = self.spec.method.beta
        prototypes = complete([*self._measured, [self._means(task, j) for j in (*old, newest)]])
        features = [*(self.frozen_features(images, j) for j in old), self.features(images, newest)]
        scores = torch.stack([cosine(f, p) for f, p in zip(features, prototypes, strict=True)])
        found = ensemble(scores, [len(labels) for labels in (*self._labels, task.labels)], self.spec.method.alpha)
        if not beta:
            return found
        plain = class_means(self.pretrained_features(task, "train"), task.train_y, task.labels)
        return found + beta * cosine(self.frozen_features(images), torch.cat([*self._plain, plain]))

    def predict(self, task: Task) -> np.ndarray:
        return self.test_logits(task).argmax(1).cpu().numpy()

    def test_logits(self, task: Task) -> torch.Tensor:
        """Those [N, K] of the task's test images, from all subspaces (eq. 9), with beta times the pretrained one's."""
        features = [self.frozen_test_features(task, j) for j in range(len(self._prototypes))]
        scores = torch.stack([cosine(f, p) for f, p in zip(features, self._prototypes, strict=True)])
        logits = ensemble(scores, [len(r) for r in self._labels], self.spec.method.alpha)
        if self.spec.method.beta:
            plain = cosine(self.pretrained_features(task, "test"), torch.cat(self._plain))
            logits = logits + self.spec.method.beta * plain
        return logits

    def _means(self, task: Task, subspace: int) -> torch.Tensor:
        """Prototypes of the task's classes; in the subspaces before the newest, which is in training, found once."""
        if (kept := self._frozen_means.get((task.index, subspace))) is not None:
            return kept
        means = class_means(self.features(task.train_x, subspace), task.train_y, task.labels)
        if subspace < len(self.network.adapters.sets) - 1:
            self._frozen_means[task.index, subspace] = means
        return means


def complete(measured: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    """Prototypes of all classes in every subspace: [T] of [K, D].

    For old task i and subspace j > i: S = softmax_k cos(P[c, i], P[k, i]) over the classes k of tasks >= j, and
    P^[c, j] = sum_k S_ck P[k, j]. measured[i][j] holds the [classes of i, D] seen when task i was learned (j <= i).
    There may be fewer subspaces than tasks, J in place of T.
    """
    tasks = len(measured)
    full = []
    for j in range(len(measured[-1])):
        rows = []
        for i in range(tasks):
            if j <= i:
                rows.append(measured[i][j])
            else:
                in_old = torch.cat([measured[k][i] for k in range(j, tasks)])
                in_new = torch.cat([measured[k][j] for k in range(j, tasks)])
                rows.append(F.softmax(cosine(measured[i][i], in_old), 1) @ in_new)
        full.append(torch.cat(rows))
    return full


def ensemble(scores: torch.Tensor, classes: list[int], alpha: float) -> torch.Tensor:
    """Logits [N, K] from scores [J, N, K], the cosine of class c in subspace j (eq. 9 of the paper).

    A class of task i scores its own subspace i, or the last, in full and the others together by alpha / (J - 1).
    """
    subspaces = len(scores)
    tasks = torch.arange(len(classes)).clamp(max=subspaces - 1)
    own = torch.repeat_interleave(tasks, torch.tensor(classes)).to(scores.device)  # [K]
    index = own.expand(1, scores.shape[1], -1)
    own_score = scores.gather(0, index)[0]
    if subspaces == 1:
        return own_score
    return own_score + alpha / (subspaces - 1) * (scores.sum(0) - own_score)
