"""The batch a step is taken on, and its loss, a micro-batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from zfscale.data.masking import IGNORED
from zfscale.engine.deepspeed import Engine
from zfscale.errors import ZfscaleError
from zfscale.models.front import Begun
from zfscale.training.beginnings import Beginnings
from zfscale.training.objective import Loss, Objective, plain


class Batch:
    """The current batch and the mean of the objective over it: one pass through the engine a call.

    With `micro_batch_size`, the pass goes in parts of that many examples. Each part is weighted by its labels that
    count (those of -100 do not), so that the mean is that of the batch in whatever parts, on however many ranks.
    `targets` makes of labels what the engine's outputs are compared with, `loss` of the objective what is minimised.
    With `beginnings`, all passes on a batch begin behind what is frozen.
    """

    def __init__(
        self,
        engine: Engine,
        objective: Objective,
        micro_batch_size: int | None = None,
        targets: Callable[[torch.Tensor], torch.Tensor] = lambda labels: labels,
        loss: Loss = plain,
        beginnings: Beginnings | None = None,
    ) -> None:
        self.engine = engine
        self._objective = objective
        self._size = micro_batch_size
        self._targets, self._minimised, self._beginnings = targets, loss, beginnings
        self._begun: dict[tuple[int, int], Begun | None] = {}  # of a micro-batch, from the first pass on
        self.x = self.y = torch.empty(0)
        self._counts, self._rows = np.empty(0), torch.empty(0)

    def load(self, x: np.ndarray, y: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Inputs [B, ...] (images uint8 [B, C, H, W], token ids [B, T]) and labels [B, ...] onto the device.

        `rows` [B] are the examples' places among those of the stage, by default 0 .. B - 1.
        """
        self._rows = torch.tensor(np.arange(len(y)) if rows is None else rows, device=self.engine.device)
        self.x = torch.tensor(x, device=self.engine.device)
        self.y = self._targets(torch.tensor(y, device=self.engine.device))
        self._counts = (y != IGNORED).reshape(len(y), -1).sum(1)
        self._begun = {}
        if self._beginnings is not None:
            self._beginnings.load(x, rows)

    @property
    def count(self) -> int:
        """Micro-batches of a rank's share of the current batch."""
        return len(self._pieces(*self._me))

    def loss(self) -> torch.Tensor:
        """Scalar: the mean over the batch."""
        return _sum(self._losses(0, 1))

    def share(self) -> torch.Tensor:
        """Scalar: what this rank's examples add to the mean. Over the ranks, it adds up to `loss`."""
        return _sum(self.parts())

    def parts(self) -> Iterator[torch.Tensor]:
        """The loss of each micro-batch of this rank's share, times its weight in the batch; they add up to `share`."""
        return self._losses(*self._me)

    @property
    def _me(self) -> tuple[int, int]:
        return self.engine.ranks.rank, self.engine.ranks.world

    def _losses(self, rank: int, world: int) -> Iterator[torch.Tensor]:
        for rows, weight in self._pieces(rank, world):
            outputs, labels = _flat(self._outputs(rows), self.y[rows])
            loss = self._minimised(self._objective, outputs, labels, self._rows[rows])
            if loss.numel() != 1:
                raise ZfscaleError(f"train.objective: expected one number, got a tensor {list(loss.shape)}")
            yield loss.reshape(()) if weight == 1 else loss.reshape(()) * weight

    def _outputs(self, rows: slice) -> torch.Tensor:
        if self._beginnings is None:
            return self.engine(self.x[rows])
        place = (rows.start, rows.stop)
        if place not in self._begun:
            self._begun[place] = self._beginnings.of(self.x[rows], self._rows[rows])
        begun = self._begun[place]
        return self.engine(self.x[rows]) if begun is None else self.engine(self.x[rows], begun=begun)

    def _pieces(self, rank: int, world: int) -> list[tuple[slice, float]]:
        """Rows and weight of each micro-batch of a rank's share: as many on every rank, which wait for each other.

        A rank that has no examples left repeats one, of no weight.
        """
        n, total = len(self.y), self._counts.sum()
        size = -(-n // world)
        step, stop = min(self._size or size, size), min((rank + 1) * size, n)
        pieces = []
        for start in range(rank * size, (rank + 1) * size, step):
            rows = slice(start, min(start + step, stop))
            weight = self._counts[rows].sum() / total
            if not weight:
                busiest = int(self._counts.argmax())
                rows = slice(busiest, busiest + 1)
            pieces.append((rows, float(weight)))
        return pieces


def _sum(parts: Iterator[torch.Tensor]) -> torch.Tensor:
    losses = list(parts)
    return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


def _flat(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [B, T, V] and labels [B, T] of token blocks as [B T, V] and [B T]; what is of images as it is."""
    if labels.ndim < 2 or labels.is_floating_point():
        return logits, labels
    return logits.flatten(0, 1), labels.flatten().long()
