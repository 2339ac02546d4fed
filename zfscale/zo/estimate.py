"""Stage 1 of Algorithm 1: gradient estimation, g = estimate(theta, batch).

An estimate stays symbolic, the list of its (seed, coefficient) pairs; g = mean_i c_i z(seed_i) is built piece by
piece when a later stage needs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from zfscale.zo.problem import Problem


@dataclass(frozen=True)
class Estimate:
    """g = 1/q sum_i coefficients[i] z(seeds[i]).

    `loss` is L(theta) where the estimator saw it, else the mean over the two sides. `exact` tells which.
    """

    seeds: tuple[int, ...]
    coefficients: tuple[float, ...]
    loss: float
    exact: bool
    forwards: int

    def clipped(self, bound: float) -> Estimate:
        """The same with |coefficient| <= bound, as the ledger will have it; 0 is no bound."""
        if not bound:
            return self
        return replace(self, coefficients=tuple(max(-bound, min(bound, c)) for c in self.coefficients))

    def signed(self) -> Estimate:
        """The same with each coefficient's sign in its place: the projected sign, g = 1/q sum_i sign(c_i) z_i."""
        return replace(self, coefficients=tuple(float((c > 0) - (c < 0)) for c in self.coefficients))

    @property
    def finite(self) -> bool:
        """Whether the loss and every coefficient are numbers."""
        return all(map(math.isfinite, (self.loss, *self.coefficients)))

    def gradient(self, problem: Problem, start: int, stop: int) -> torch.Tensor:
        """Elements start .. stop - 1 of g; float32 [stop - start]. Products and sums are rounded one by one."""
        q = len(self.seeds)
        total = problem.directions.slice(self.seeds[0], start, stop) * (self.coefficients[0] / q)
        for seed, coefficient in zip(self.seeds[1:], self.coefficients[1:], strict=True):
            total += problem.directions.slice(seed, start, stop) * (coefficient / q)
        return total


def spsa(problem: Problem, seeds: Sequence[int], eps: float, sides: int) -> Estimate:
    """Simultaneous perturbation (Spall 1992; MeZO, Malladi et al. 2023), eq. 1-2 of ZeroFlow; q = len(seeds).

    Two-sided: c = [L(theta + eps z) - L(theta - eps z)] / (2 eps), 2q forwards.
    One-sided: c = [L(theta + eps z) - L(theta)] / eps, q + 1 forwards.
    """
    plus = [problem.along(seed, eps) for seed in seeds]
    if sides == 1:
        *above, here = problem.losses([*plus, None])
        c = tuple((a - here) / eps for a in above)
        return Estimate(tuple(seeds), c, here, exact=True, forwards=len(seeds) + 1)
    losses = problem.losses([*plus, *(problem.along(seed, -eps) for seed in seeds)])
    above, below = losses[: len(seeds)], losses[len(seeds) :]
    c = tuple((a - b) / (2 * eps) for a, b in zip(above, below, strict=True))
    return Estimate(tuple(seeds), c, sum(losses) / len(losses), exact=False, forwards=len(losses))


def forward_gradient(problem: Problem, seeds: Sequence[int]) -> Estimate:
    """Forward gradient (Baydin et al. 2022): c = d/dt L(theta + t z) at t = 0, by forward derivatives; q forwards."""
    told = problem.slopes(seeds)
    mean = sum(loss for loss, _ in told) / len(told)
    return Estimate(tuple(seeds), tuple(c for _, c in told), mean, exact=True, forwards=len(seeds))
