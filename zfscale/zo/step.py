"""Algorithm 1 of ZeroFlow (arXiv 2501.01045): estimate -> direct -> update, and the optimizers composed from it.

for each step:
    g = estimate(theta, batch)          # 1. losses of a few forwards, never a backward
    h = direct(g)                       # 2. as it is, its sign, or checked against the batch (conserve)
    theta <- theta - update(h)          # 3. SGD, Adam or AdaMM
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from zfscale import registry
from zfscale.zo import catalogue
from zfscale.zo.direct import Direct, identity, sign
from zfscale.zo.estimate import Estimate
from zfscale.zo.exact import stochastic_round
from zfscale.zo.philox import ROUND
from zfscale.zo.problem import Problem
from zfscale.zo.update import State, Update

Piece = tuple[int, int]  # start, stop in the flat vector


@dataclass(frozen=True)
class Algorithm:
    """One line of Table 1: which estimate, which direction, which update."""

    estimate: Callable[[Problem, Sequence[int]], Estimate]
    direct: Direct
    update: Update
    conserve: bool = False
    history: float = 0.0  # share of the past in g: g <- (1 - history) g + history g_past
    clip: float = 0.0  # bound on |coefficient|; 0 for none
    projected: bool = False  # sign(c) z in the place of c z


@dataclass(frozen=True)
class StepResult:
    """What a step did. accepted: 1 for theta - step, -1 for theta + step (conserve), 0 for theta kept.

    Theta is kept where conserve finds nothing better, and where the loss or a coefficient is not a number. `forwards`
    are of the whole batch, whichever ranks ran them.
    """

    loss: float
    seeds: tuple[int, ...]
    coefficients: tuple[float, ...]
    accepted: int
    forwards: int

    @property
    def finite(self) -> bool:
        """Whether the loss and every coefficient are numbers."""
        return all(map(math.isfinite, (self.loss, *self.coefficients)))


class Stepper:
    """Runs an optimizer on a problem, holding its state: the step count and the moments, flat as the weights are."""

    def __init__(self, algorithm: Algorithm, problem: Problem) -> None:
        self.algorithm = algorithm
        self.problem = problem
        self.taken = 0
        self.theta = problem.leaves.flat
        self.state: State = algorithm.update.init(self.theta)
        if algorithm.history:
            self.state["g"] = torch.zeros_like(self.theta, dtype=torch.float32)

    @torch.no_grad()
    def step(self, seeds: Sequence[int], lr: float) -> StepResult:
        """One pass of Algorithm 1 on the problem's current batch."""
        estimate = self.algorithm.estimate(self.problem, seeds)
        accepted, loss, extra = 0, estimate.loss, 0
        if estimate.finite:
            accepted, estimate = 1, self._shaped(estimate)
            if self.algorithm.conserve:
                accepted, loss, extra = self._conserve(estimate, lr)
        self.commit(estimate, lr, accepted)
        return StepResult(loss, estimate.seeds, estimate.coefficients, accepted, estimate.forwards + extra)

    @torch.no_grad()
    def commit(self, estimate: Estimate, lr: float, accepted: int, pieces: Sequence[Piece] | None = None) -> None:
        """Write theta <- theta - accepted * step, and the state of that step, once; nothing where theta is kept.

        The pieces may be any division of what this process holds of the flat vector, or part of it, in any order; by
        default, the noise's own. An element's step depends on nothing but its own weight, state and noise.

        NOTE: the paper does not say what becomes of the state on theta + step. Here its first moment is turned round
        with the step (the second is even in g), so that the state is the one whose step was the move made.
        """
        if accepted == 0:
            return
        self.taken += 1
        leaves = self.problem.leaves
        assert leaves.attached, "the parameters were moved away from the flat vector"
        for start, stop in self._pieces() if pieces is None else pieces:
            here = leaves.here(start, stop)
            state = self._move(estimate, start, stop, lr, self.taken, accepted, self.theta[here])
            for name, value in (state if accepted > 0 else _reversed(state)).items():
                self.state[name][here] = value

    def _pieces(self) -> Iterator[Piece]:
        for first, last in self.problem.leaves.held:
            yield from self.problem.noise.pieces(first, last)

    def _shaped(self, estimate: Estimate) -> Estimate:
        """The estimate with its coefficients as the ledger will have them."""
        if self.algorithm.clip:
            estimate = estimate.clipped(self.algorithm.clip)
        return estimate.signed() if self.algorithm.projected else estimate

    def _move(
        self, estimate: Estimate, start: int, stop: int, lr: float, t: int, accepted: int, out: torch.Tensor
    ) -> State:
        """Write theta - accepted * step of a piece of the flat vector to `out`; the state after that step."""
        here = self.problem.leaves.here(start, stop)
        g, theta = estimate.gradient(self.problem, start, stop), self.theta[here]
        state = {name: value[here] for name, value in self.state.items()}
        kept: State = {}
        if a := self.algorithm.history:
            g = kept["g"] = g if t == 1 else g * (1 - a) + state["g"] * a
        step, new = self.algorithm.update.apply(theta, self.algorithm.direct(g), state, lr, t)
        combine = torch.sub if accepted > 0 else torch.add
        if theta.dtype.itemsize > 2 and out.dtype == theta.dtype:
            combine(theta, step, out=out)
        else:
            out.copy_(self._rounded(combine(theta, step), estimate.seeds[0], start, stop))
        return new | kept

    def _rounded(self, moved: torch.Tensor, seed: int, start: int, stop: int) -> torch.Tensor:
        """`moved` as a number of theta's dtype; 16 bits are rounded stochastically, by noise of the first seed."""
        if self.theta.dtype.itemsize > 2:
            return moved.to(self.theta.dtype)
        return stochastic_round(moved, self.theta.dtype, self.problem.noise.uniform(seed, start, stop, ROUND))

    def _conserve(self, estimate: Estimate, lr: float) -> tuple[int, float, int]:
        """Of theta, theta - step, theta + step, the one of lowest loss: (accepted, L(theta), extra forwards).

        NOTE: theta + step is looked at only where theta - step does not improve on theta. Along a step on which the
        loss is convex at most one of the two can lie below theta, so nothing is lost; elsewhere theta - step is taken
        without a look at the other. That makes it 4 forwards two-sided and 3 one-sided, one more on a rejection.
        """
        here, extra = (estimate.loss, 0) if estimate.exact else (self.problem.loss_here(), 1)
        if not math.isfinite(here):
            return 0, here, extra
        for side, looks in ((1, 1), (-1, 2)):
            if -math.inf < self._loss_after(estimate, lr, side) < here:
                return side, here, extra + looks
        return 0, here, extra + 2

    def _loss_after(self, estimate: Estimate, lr: float, accepted: int) -> float:
        t = self.taken + 1

        def point(a: int, b: int, out: torch.Tensor) -> None:
            self._move(estimate, a, b, lr, t, accepted, out)

        return self.problem.loss_at(point)


def _reversed(state: State) -> State:
    """The state of the opposite step: history `g`, and SGD's velocity `v` (alone) or Adam's `m`, change sign."""
    odd = {"m" if "m" in state else "v", "g"}
    return {k: -s if k in odd else s for k, s in state.items()}


def make_algorithm(o: Any) -> Algorithm:
    """The forward-only optimizer that a sweep file's `optimizer` block names (its fields as attributes).

    NOTE: with `history`, the paper's enhancement 2, the first step of a task has no past and takes g as it is.
    """
    facts = catalogue.optimizer(o.name)
    estimate = partial(registry.load(facts.estimator.path), **_given(o, facts.estimator.arguments))
    update = registry.load(facts.rule.path)(**_given(o, facts.rule.arguments))
    projected = facts.direct == "sign" and o.sign == "projected"
    direct = sign if facts.direct == "sign" and not projected else identity
    return Algorithm(estimate, direct, update, facts.direct == "conserve", o.history, o.clip, projected)


def _given(o: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(o, name) for name in names}
