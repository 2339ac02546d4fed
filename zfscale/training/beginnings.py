"""Where the forwards of a step begin: behind what is frozen, which runs once an image of a stage, or once a step."""

from __future__ import annotations

import numpy as np
import torch

from zfscale.models.front import Begun
from zfscale.models.trained import Trained

MIB = 2**20


class Beginnings:
    """What a network's frozen front makes of the examples of a stage, for as long as the same is trained.

    It is kept for all of them if that takes `limit` bytes at most, from the first step on; else it is made anew in
    every step, for all its forwards, as it is where inputs are not the stage's own, but augmented.

    NOTE: none of this is among the `forwards` of a trial. Kept for all, it is made in batches other than those of the
    steps, so that a loss may differ in the last bits from one that is computed as a whole; `limit` 0 makes both equal.
    """

    def __init__(self, network: Trained, x: np.ndarray, batch: int, limit: int) -> None:
        self._network, self._x, self._batch, self._limit = network, x, batch, limit
        self._tried = self._altered = False
        self._kept: Begun | None = None  # of all examples

    def load(self, x: np.ndarray, rows: np.ndarray | None) -> None:
        """The next step is on the inputs [B, ...], which have the places `rows` [B] in the stage, or none."""
        self._altered = rows is None or not np.array_equal(x, self._x[rows])

    def of(self, x: torch.Tensor, rows: torch.Tensor) -> Begun | None:
        """What the forwards of the inputs [B, ...] begin from, `rows` [B] in the stage; None if they begin at those."""
        if self._altered:
            return self._network.begin(x)
        if not self._tried:
            self._tried, self._kept = True, self._all(x.device)
        return self._network.begin(x) if self._kept is None else self._kept[rows]

    def _all(self, device: torch.device) -> Begun | None:
        one = self._made(slice(0, 1), device)
        if one is None or len(self._x) * sum(part.nbytes for part in one.parts) > self._limit:
            return None
        kept = one.room(len(self._x))
        for start in range(0, len(self._x), self._batch):
            rows = slice(start, start + self._batch)
            some = self._made(rows, device)
            assert some is not None
            kept.put(rows, some)
        return kept

    def _made(self, rows: slice, device: torch.device) -> Begun | None:
        return self._network.begin(torch.tensor(self._x[rows], device=device))
