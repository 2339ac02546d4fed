"""Sequential finetuning: the whole encoder and a linear head that grows with the classes. The lower bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zfscale.methods.base import FeatureCache
from zfscale.methods.classes import ClassLearner
from zfscale.models.heads import LinearHead
from zfscale.streams.class_incremental import Task
from zfscale.training.seeds import HEAD

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


class Finetune(ClassLearner):
    """Cross-entropy over all classes seen so far, on the new task's images only."""

    def __init__(self, spec: TrialSpec, base: Any, cache: FeatureCache | None = None) -> None:
        super().__init__(spec, base, cache)
        self._head = LinearHead(self.width)
        self.network.head = self._head

    def begin(self, task: Task) -> None:
        self._head.grow(len(task.labels), self.seed(HEAD, task))
        self._head.to(self.engine.device)

    def predict(self, task: Task) -> np.ndarray:
        with torch.no_grad():
            return self._head(self.features(task.test_x)).argmax(1).cpu().numpy()
