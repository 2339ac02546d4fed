"""Raw pixels: the control that uses no model. What learns less than this has learnt nothing that is worth a model."""

from __future__ import annotations

import torch

from zfscale.methods.simplecil import SimpleCil
from zfscale.streams.class_incremental import Task


class Pixels(SimpleCil):
    """SimpleCIL (nearest class mean by cosine) on the images themselves; no training.

    They have the size at which data is read for the model: that of the model, or less where they all are smaller; what
    `stream.transform: crop` would cut off is still there. The model is loaded, as it decides that size, and never run.
    """

    def embed(self, task: Task, split: str) -> torch.Tensor:
        """Pixels float32 [N, C H W] from 0 to 1."""
        images = task.train_x if split == "train" else task.test_x
        return torch.tensor(images.reshape(len(images), -1), device=self.engine.device) / 255
