"""Stage 1 of Algorithm 1: gradient estimation, g = estimate(theta, batch).

An estimate stays symbolic, the list of its (seed, coefficient) pairs; g = mean_i c_i z(seed_i) is built leaf by leaf
when a later stage needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch.autograd import forward_ad

from zfscale.zo.leaves import Leaf, Leaves
from zfscale.zo.noise import Noise
from zfscale.zo.perturb import Perturbation, Value

Loss = Callable[[], torch.Tensor]  # one forward on the current batch -> scalar


@dataclass(frozen=True)
class Problem:
    """What an estimate may look at: the batch's loss, at any point, and the noise."""

    loss: Loss
    leaves: Leaves
    perturbation: Perturbation
    noise: Noise

    def z(self, seed: int, leaf: Leaf) -> torch.Tensor:
        """The leaf's part of z(seed), in the leaf's shape; float32."""
        return self.noise.of_leaf(seed, leaf, self.leaves)

    def loss_at(self, value: Value) -> float:
        """The loss with every leaf replaced by value(leaf): one forward."""
        with torch.no_grad(), self.perturbation.at(value):
            return float(self.loss())

    def loss_here(self) -> float:
        """The loss at theta: one forward."""
        with torch.no_grad():
            return float(self.loss())

    def loss_along(self, seed: int, scale: float) -> float:
        """L(theta + scale z(seed)): one forward."""
        return self.loss_at(
            lambda leaf: torch.add(leaf.parameter, self.z(seed, leaf), alpha=scale).to(leaf.parameter.dtype)
        )


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

    def gradient(self, problem: Problem, leaf: Leaf) -> torch.Tensor:
        """The leaf's part of g; float32, the leaf's shape."""
        q = len(self.seeds)
        total = problem.z(self.seeds[0], leaf) * (self.coefficients[0] / q)
        for seed, coefficient in zip(self.seeds[1:], self.coefficients[1:], strict=True):
            total.add_(problem.z(seed, leaf), alpha=coefficient / q)
        return total


def spsa(problem: Problem, seeds: Sequence[int], eps: float, sides: int) -> Estimate:
    """Simultaneous perturbation (Spall 1992; MeZO, Malladi et al. 2023), eq. 1-2 of ZeroFlow; q = len(seeds).

    Two-sided: c = [L(theta + eps z) - L(theta - eps z)] / (2 eps), 2q forwards.
    One-sided: c = [L(theta + eps z) - L(theta)] / eps, q + 1 forwards.
    """
    plus = [problem.loss_along(seed, eps) for seed in seeds]
    if sides == 1:
        here = problem.loss_here()
        c = tuple((p - here) / eps for p in plus)
        return Estimate(tuple(seeds), c, here, exact=True, forwards=len(seeds) + 1)
    minus = [problem.loss_along(seed, -eps) for seed in seeds]
    c = tuple((p - m) / (2 * eps) for p, m in zip(plus, minus, strict=True))
    return Estimate(tuple(seeds), c, sum(plus + minus) / (2 * len(seeds)), exact=False, forwards=2 * len(seeds))


def forward_gradient(problem: Problem, seeds: Sequence[int]) -> Estimate:
    """Forward gradient (Baydin et al. 2022): c = d/dt L(theta + t z) at t = 0, by forward-mode AD; q forwards.

    NOTE: fused attention has no forward derivative, so models are built with eager attention for this.
    """
    coefficients, losses = [], []
    for seed in seeds:
        with torch.no_grad(), forward_ad.dual_level():
            dual = _dual_value(problem, seed)
            with problem.perturbation.at(dual):
                loss, tangent = forward_ad.unpack_dual(problem.loss())
        assert tangent is not None, "the loss does not depend on any trainable parameter"
        losses.append(float(loss))
        coefficients.append(float(tangent))
    mean = sum(losses) / len(losses)
    return Estimate(tuple(seeds), tuple(coefficients), mean, exact=True, forwards=len(seeds))


def _dual_value(problem: Problem, seed: int) -> Value:
    def value(leaf: Leaf) -> torch.Tensor:
        tangent = problem.z(seed, leaf).to(leaf.parameter.dtype)
        return forward_ad.make_dual(leaf.parameter.detach(), tangent)

    return value
