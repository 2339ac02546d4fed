"""APER with adapters (Zhou et al. 2023, arXiv 2303.07338): adapt once, on the first task, then SimpleCIL.

Feature = [f_pretrained ; f_adapted], so the pretrained model's generality is kept beside the adaptation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from zfscale.methods.simplecil import SimpleCil
from zfscale.streams.class_incremental import Task

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


class Aper(SimpleCil):
    """SimpleCIL on concatenated features, after an adapter trained with a cosine head on task 1."""

    has_adapters = True

    @classmethod
    def trains(cls, spec: TrialSpec, stage: int) -> bool:
        return stage == 1

    def begin(self, task: Task) -> None:
        if self.trains(self.spec, task.index):
            self.start_adapter(task)

    def offset(self, task: Task) -> int:
        return task.labels.start

    def settle(self, task: Task) -> None:
        self.network.head = None
        self.freeze()

    def embed(self, task: Task, split: str) -> torch.Tensor:
        adapted = self.features(task.train_x, 0) if split == "train" else self.frozen_test_features(task, 0)
        return torch.cat([self.pretrained_features(task, split), adapted], 1)

    def adapted(self, images: np.ndarray) -> torch.Tensor:
        return torch.cat([self.frozen_features(images), self.features(images, 0)], 1)
