"""What an optimizer works on: an oracle, which knows the loss, and the directions to look along."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from zfscale.zo.directions.base import Directions
from zfscale.zo.leaves import Leaves
from zfscale.zo.oracle import Oracle, Point


class Problem:
    """The loss of the current batch along random directions: what estimates and conserve look at."""

    def __init__(self, oracle: Oracle, directions: Directions) -> None:
        self.oracle, self.directions = oracle, directions

    @property
    def leaves(self) -> Leaves:
        """The weights."""
        return self.oracle.leaves

    def losses(self, points: Sequence[Point | None]) -> list[float]:
        """The loss at each of these weights, None for theta: one forward each."""
        return self.oracle.losses(points)

    def slopes(self, seeds: Sequence[int]) -> list[tuple[float, float]]:
        """The loss at theta and its derivative along z(seed), for each seed: one forward each."""
        return self.oracle.slopes([partial(self.directions.slice, seed) for seed in seeds])

    def loss_here(self) -> float:
        """The loss at theta: one forward."""
        return self.losses([None])[0]

    def loss_at(self, point: Point) -> float:
        """The loss at other weights than theta: one forward."""
        return self.losses([point])[0]

    def loss_along(self, seed: int, scale: float) -> float:
        """L(theta + scale z(seed)): one forward."""
        return self.losses([self.along(seed, scale)])[0]

    def along(self, seed: int, scale: float) -> Point:
        """The weights theta + scale z(seed)."""

        def point(start: int, stop: int, out: torch.Tensor) -> None:
            for a, b in self.directions.pieces(start, stop):
                self._add(seed, scale, a, b, out[a - start : b - start])

        return point

    def _add(self, seed: int, scale: float, a: int, b: int, out: torch.Tensor) -> None:
        theta, z = self.leaves.flat[self.leaves.here(a, b)], self.directions.slice(seed, a, b)
        if out.dtype == torch.promote_types(theta.dtype, z.dtype):
            torch.add(theta, z, alpha=scale, out=out)
        else:
            out.copy_(torch.add(theta, z, alpha=scale))
