"""An optimizer of a user's own: a direction that is lazy and an update by matrices, each with a state of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from zfscale.zo.catalogue import Direction, Optimizer, Rule
from zfscale.zo.directions.base import Directions
from zfscale.zo.directions.dense import gaussian, rademacher
from zfscale.zo.philox import derive, words_of

NU = 3  # steps for which a subspace is kept


class Lazy(Directions):
    """z ~ N(0, 1) on about half of the coordinates, and 0 on the others; which they are changes every `NU` steps."""

    def generate(self, seed: int, first: int) -> torch.Tensor:
        kept = rademacher(words_of(derive(self.seed, self.step // NU)), first, self.chunk, self.device)
        return gaussian(words_of(seed), first, self.chunk, self.device) * (kept > 0)


@dataclass(frozen=True)
class Momentum:
    """The state of one leaf: no tensor, no dict."""

    mean: torch.Tensor
    steps: int


@dataclass(frozen=True)
class Orthogonal:
    """m <- momentum m + h; step = lr U V' of a matrix m = U S V', and lr m / |m| of a vector or a scalar."""

    unit: ClassVar = "leaf"
    momentum: float = 0.9

    def init(self, theta: torch.Tensor) -> Momentum:
        return Momentum(torch.zeros_like(theta, dtype=torch.promote_types(theta.dtype, torch.float32)), 0)

    def apply(
        self, theta: torch.Tensor, h: torch.Tensor, state: Momentum, lr: float, t: int
    ) -> tuple[torch.Tensor, Momentum]:
        assert theta.shape == h.shape == state.mean.shape
        new = Momentum(state.mean * self.momentum + h, state.steps + 1)
        assert new.steps == t
        if theta.dim() < 2:
            return new.mean * (lr / max(float(new.mean.norm()), 1e-12)), new
        u, _, v = torch.linalg.svd(new.mean.flatten(1), full_matrices=False)
        return ((u @ v) * lr).view(theta.shape), new

    def reverse(self, state: Momentum) -> Momentum:
        return Momentum(-state.mean, state.steps)


HERE = f"{__name__}:"
ORTHOGONAL = Rule(f"{HERE}Orthogonal", ("momentum",), states=lambda o: 1, unit="leaf")
LAZY = Direction(f"{HERE}Lazy")
MINE = Optimizer("spsa", ORTHOGONAL, direction=LAZY)
CAREFUL = Optimizer("spsa", ORTHOGONAL, "conserve", direction=LAZY)
MISTAKEN = Optimizer("spsa", Rule(f"{HERE}Orthogonal", ("momentum",), states=lambda o: 1))
