"""The loss of the current batch as a function of the weights: what estimates and conserve look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from zfscale.zo.leaves import Leaf, Leaves
from zfscale.zo.noise import CHUNK, Noise
from zfscale.zo.perturb import Perturbation, Scratch

Loss = Callable[[], torch.Tensor]  # one forward on the current batch -> scalar
Point = Callable[[int, int, torch.Tensor], None]  # (start, stop, out): write those elements of the weights to `out`


class Problem:
    """A loss, the leaves it depends on, and the noise that moves them."""

    def __init__(self, loss: Loss, leaves: Leaves, perturbation: Perturbation, noise: Noise) -> None:
        self.loss, self.leaves, self.perturbation, self.noise = loss, leaves, perturbation, noise
        self._scratch = Scratch()

    def loss_here(self) -> float:
        """The loss at theta: one forward."""
        with torch.no_grad():
            return float(self.loss())

    def loss_at(self, point: Point) -> float:
        """The loss at other weights than theta: one forward."""
        with torch.no_grad(), self._weights(point):
            return float(self.loss())

    def loss_along(self, seed: int, scale: float) -> float:
        """L(theta + scale z(seed)): one forward."""

        def point(a: int, b: int, out: torch.Tensor) -> None:
            theta, z = self.leaves.flat[a:b], self.noise.slice(seed, a, b)
            if out.dtype == torch.promote_types(theta.dtype, z.dtype):
                torch.add(theta, z, alpha=scale, out=out)
            else:
                out.copy_(torch.add(theta, z, alpha=scale))

        return self.loss_at(point)

    @contextmanager
    def _weights(self, point: Point) -> Iterator[None]:
        """Forwards inside run at `point`: all of it made at once where it is small, else each leaf when it is read."""
        if self.leaves.total <= CHUNK:
            dtype = torch.promote_types(self.leaves.flat.dtype, torch.float32)
            flat = torch.empty_like(self.leaves.flat, dtype=dtype)
            point(0, self.leaves.total, flat)
            with self.perturbation.at(lambda leaf: _view(flat, leaf).to(leaf.seen)):
                yield
        else:
            with self.perturbation.at(lambda leaf: self._write(point, leaf), self._scratch.give):
                yield

    def _write(self, point: Point, leaf: Leaf) -> torch.Tensor:
        out = self._scratch.take(leaf)
        for a, b in self.noise.pieces(leaf.start, leaf.stop):
            point(a, b, out[a - leaf.start : b - leaf.start])
        return out.view(leaf.parameter.shape)


def _view(flat: torch.Tensor, leaf: Leaf) -> torch.Tensor:
    return flat[leaf.start : leaf.stop].view(leaf.parameter.shape)
