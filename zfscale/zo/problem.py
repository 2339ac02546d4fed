"""The loss of the current batch as a function of the weights: what estimates and conserve look at.

Over several ranks, either each computes every loss on its share of the batch (data-parallel), or each computes other
losses of those asked for at once, on the whole batch (query-parallel). One message then tells all of them to all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch

from zfscale.zo.leaves import Leaf, Leaves
from zfscale.zo.noise import CHUNK, Noise
from zfscale.zo.perturb import Perturbation, Scratch
from zfscale.zo.ranks import Ranks

Loss = Callable[[], torch.Tensor]  # one forward on the current batch -> scalar
Point = Callable[[int, int, torch.Tensor], None]  # (start, stop, out): write those elements of the weights to `out`
Look = Callable[[Loss], Sequence[float]]  # what one forward of a loss tells: numbers that are linear in it


class Problem:
    """A loss, the leaves it depends on, and the noise that moves them.

    `share` is the part of the loss that this rank's examples make: over the ranks, it adds up to `loss`.
    """

    def __init__(
        self,
        loss: Loss,
        leaves: Leaves,
        perturbation: Perturbation,
        noise: Noise,
        ranks: Ranks | None = None,
        share: Loss | None = None,
        query_parallel: bool = False,
    ) -> None:
        self.loss, self.leaves, self.perturbation, self.noise = loss, leaves, perturbation, noise
        self.ranks, self._share, self._by_query = ranks or Ranks(), share, query_parallel
        self._scratch = Scratch()

    def losses(self, points: Sequence[Point | None]) -> list[float]:
        """The loss at each of these weights, None for theta: one forward each, the same numbers on every rank."""
        return [loss for (loss,) in self.look([partial(self._loss_at, point) for point in points])]

    def look(self, looks: Sequence[Look], width: int = 1) -> list[list[float]]:
        """What each of these forwards tells, `width` numbers, on every rank: one message.

        NOTE: fewer of them than ranks, as conserve's candidates are, go data-parallel in a query-parallel trial too.
        """
        rank, world = self.ranks.rank, self.ranks.world
        if self._by_query and len(looks) >= world:
            found = [look(self.loss) if i % world == rank else [0.0] * width for i, look in enumerate(looks)]
        else:
            found = [look(self._share or self.loss) for look in looks]
        told = self.ranks.sum([number for numbers in found for number in numbers])
        return [told[i : i + width] for i in range(0, len(told), width)]

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

        def point(a: int, b: int, out: torch.Tensor) -> None:
            theta, z = self.leaves.flat[self.leaves.here(a, b)], self.noise.slice(seed, a, b)
            if out.dtype == torch.promote_types(theta.dtype, z.dtype):
                torch.add(theta, z, alpha=scale, out=out)
            else:
                out.copy_(torch.add(theta, z, alpha=scale))

        return point

    def _loss_at(self, point: Point | None, loss: Loss) -> list[float]:
        with torch.no_grad():
            if point is None:
                return [float(loss())]
            with self._weights(point):
                return [float(loss())]

    @contextmanager
    def _weights(self, point: Point) -> Iterator[None]:
        """Forwards inside run at `point`: all of it made at once where it is small, else each leaf when it is read."""
        leaves = self.leaves
        if leaves.total <= CHUNK:
            flat = torch.empty_like(leaves.flat, dtype=torch.promote_types(leaves.flat.dtype, torch.float32))
            for a, b in leaves.held:
                point(a, b, flat[leaves.here(a, b)])
            with self.perturbation.at(lambda leaf: leaf.of(flat).to(leaf.seen)):
                yield
        else:
            with self.perturbation.at(lambda leaf: self._write(point, leaf), self._scratch.give):
                yield

    def _write(self, point: Point, leaf: Leaf) -> torch.Tensor:
        out = self._scratch.take(leaf)
        for a, b in self.noise.pieces(leaf.first, leaf.last):
            point(a, b, out[a - leaf.first : b - leaf.first])
        return out.view(leaf.home.shape)
