"""Sequential finetuning: the whole encoder and a linear head that grows with the classes. The lower bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zfscale.methods.base import FeatureCache
from zfscale.methods.classes import ClassLearner
from zfscale.models.heads import LinearHead, TaskHeads
from zfscale.streams.class_incremental import Task
from zfscale.training.seeds import HEAD

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


class Finetune(ClassLearner):
    """Cross-entropy over all classes seen so far or over the new ones (`loss_over`), on the new task's images only.

    NOTE: over the new ones, the benchmark keeps one head whose old rows have a gradient of 0; weight decay and a
    direction z move them all the same. Here they rest (`TaskHeads`). A subclass without that option has one head.
    """

    def __init__(self, spec: TrialSpec, base: Any, cache: FeatureCache | None = None) -> None:
        super().__init__(spec, base, cache)
        self.over_new = getattr(spec.method.filled(), "loss_over", "seen") == "new"
        self._head = TaskHeads(self.width) if self.over_new else LinearHead(self.width)
        self.network.head = self._head

    def begin(self, task: Task) -> None:
        self._head.grow(len(task.labels), self.seed(HEAD, task))
        self._head.to(self.engine.device)

    def offset(self, task: Task) -> int:
        return task.labels.start if self.over_new else 0

    def logits(self, images: np.ndarray, task: Task) -> torch.Tensor:
        with torch.no_grad():
            return self._head.every(self.features(images))

    def predict(self, task: Task) -> np.ndarray:
        return self.logits(task.test_x, task).argmax(1).cpu().numpy()
