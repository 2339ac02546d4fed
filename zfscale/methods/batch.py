"""The batch a step is taken on, and its loss, a micro-batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from zfscale.errors import ZfscaleError
from zfscale.methods.objective import Objective
from zfscale.models.engine import Engine


class Batch:
    """The current batch and the mean of the objective over it: one pass through the engine a call.

    With `micro_batch_size`, the pass goes in parts of that many examples and the loss is their mean, weighted by size.
    `targets` makes of labels what the engine's outputs are compared with.
    """

    def __init__(
        self,
        engine: Engine,
        objective: Objective,
        micro_batch_size: int | None = None,
        targets: Callable[[torch.Tensor], torch.Tensor] = lambda labels: labels,
    ) -> None:
        self.engine = engine
        self._objective = objective
        self._size = micro_batch_size
        self._targets = targets
        self.x = self.y = torch.empty(0)

    def load(self, x: np.ndarray, y: np.ndarray) -> None:
        """Inputs [B, ...] (images uint8 [B, C, H, W], token ids [B, T]) and labels [B, ...] onto the device."""
        self.x = torch.tensor(x, device=self.engine.device)
        self.y = self._targets(torch.tensor(y, device=self.engine.device))

    @property
    def count(self) -> int:
        """Micro-batches in the current batch."""
        return -(-len(self.y) // (self._size or len(self.y)))

    def loss(self) -> torch.Tensor:
        """Scalar: the mean over the batch."""
        parts = list(self.parts())
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum()

    def parts(self) -> Iterator[torch.Tensor]:
        """The loss of each micro-batch, times its share of the batch; they add up to `loss`."""
        size = self._size or len(self.y)
        for x, y in zip(self.x.split(size), self.y.split(size), strict=True):
            loss = self._objective(*_flat(self.engine(x), y))
            if loss.numel() != 1:
                raise ZfscaleError(f"train.objective: expected one number, got a tensor {list(loss.shape)}")
            yield loss.reshape(()) * (len(y) / len(self.y)) if len(y) < len(self.y) else loss.reshape(())


def _flat(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [B, T, V] and labels [B, T] of token blocks as [B T, V] and [B T]; what is of images as it is."""
    if labels.ndim < 2 or labels.is_floating_point():
        return logits, labels
    return logits.flatten(0, 1), labels.flatten().long()
