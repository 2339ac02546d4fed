"""SimpleCIL (Zhou et al. 2023, arXiv 2303.07338): no training; the nearest class mean of the pretrained features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zfscale.methods.base import FeatureCache
from zfscale.methods.classes import ClassLearner
from zfscale.methods.prototypes import class_means, cosine
from zfscale.streams.class_incremental import Task

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


class SimpleCil(ClassLearner):
    """argmax_c cos(f, p_c), p_c the mean feature of class c's training images under the test transform."""

    def __init__(self, spec: TrialSpec, base: Any, cache: FeatureCache | None = None) -> None:
        super().__init__(spec, base, cache)
        self._prototypes: list[torch.Tensor] = []  # one [classes of the task, D] a task

    def made(self, network: Any) -> None:
        network.freeze()

    @classmethod
    def trains(cls, spec: TrialSpec, stage: int) -> bool:
        return False

    def remember(self, task: Task) -> None:
        f = self.embed(task, "train")
        self._prototypes.append(class_means(f, task.train_y, task.labels))

    def logits(self, images: np.ndarray, task: Task) -> torch.Tensor:
        new = class_means(self.embed(task, "train"), task.train_y, task.labels)
        return cosine(self.adapted(images), torch.cat([*self._prototypes, new]))

    def predict(self, task: Task) -> np.ndarray:
        return self.test_logits(task).argmax(1).cpu().numpy()

    def test_logits(self, task: Task) -> torch.Tensor:
        """cos(f, p_c) [N, K] of the task's test images."""
        return cosine(self.embed(task, "test"), torch.cat(self._prototypes))

    def embed(self, task: Task, split: str) -> torch.Tensor:
        """Features [N, D] of the task's "train" or "test" images, in which classes are compared."""
        return self.pretrained_features(task, split)

    def adapted(self, images: np.ndarray) -> torch.Tensor:
        """The same of any images, with what the model is now."""
        return self.frozen_features(images)
