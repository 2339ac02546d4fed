"""A low-rank direction: z of a matrix [m, n] is a sum of outer products of random signs, over sqrt(width)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from zfscale.zo.directions.base import Directions
from zfscale.zo.directions.dense import rademacher
from zfscale.zo.leaves import Leaf
from zfscale.zo.philox import words_of

BLOCK = 4096  # rademacher makes whole groups


class Outer(Directions):
    """Signs u of the rows and v of the columns: z_ij = sum_k u_ik v_jk / sqrt(width); a vector's z is of signs."""

    def __init__(self, leaves: Iterable[Leaf], *given: Any, width: int, **settings: Any) -> None:
        super().__init__(leaves, *given, **settings)
        self.width = width

    def generate(self, seed: int, first: int) -> torch.Tensor:
        z = torch.zeros(self.chunk)
        for leaf in self.leaves:
            start, stop = max(leaf.start, first), min(leaf.stop, first + self.chunk)
            if start < stop:
                z[start - first : stop - first] = self._of(leaf, seed, start - leaf.start, stop - leaf.start)
        return z.to(self.device)

    def _of(self, leaf: Leaf, seed: int, start: int, stop: int) -> torch.Tensor:
        """Elements start .. stop - 1 of a leaf's z."""
        place = torch.arange(start, stop)
        if len(leaf.shape) < 2:
            return self._signs(seed, leaf.start, stop)[place]
        columns = math.prod(leaf.shape[1:])
        rows = leaf.shape[0]
        signs = self._signs(seed, leaf.start, self.width * (rows + columns)).view(self.width, rows + columns)
        u, v = signs[:, place // columns], signs[:, rows + place % columns]
        return sum(u[k] * v[k] for k in range(self.width)) / math.sqrt(self.width)  # type: ignore[return-value]

    def _signs(self, seed: int, leaf: int, count: int) -> torch.Tensor:
        whole = -(-count // BLOCK) * BLOCK
        return rademacher(words_of(seed ^ (leaf << 20)), 0, whole)[:count]
