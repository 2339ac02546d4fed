"""Algorithm 1 of ZeroFlow (arXiv 2501.01045): estimate -> direct -> update, and the optimizers composed from it.

for each step:
    g = estimate(theta, batch)          # 1. losses of a few forwards, never a backward
    h = direct(g)                       # 2. as it is, its sign, or checked against the batch (conserve)
    theta <- theta - update(h)          # 3. SGD or Adam
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from zfscale.zo.direct import Direct, identity, sign
from zfscale.zo.estimate import Estimate, Problem, forward_gradient, spsa
from zfscale.zo.leaves import Leaf
from zfscale.zo.update import SGD, Adam, State, Update


@dataclass(frozen=True)
class Optimizer:
    """One line of Table 1: which estimate, which direction, which update."""

    estimate: Callable[[Problem, Sequence[int]], Estimate]
    direct: Direct
    update: Update
    conserve: bool = False
    history: float = 0.0  # share of the past in g: g <- (1 - history) g + history g_past
    clip: float = 0.0  # bound on |coefficient|; 0 for none


@dataclass(frozen=True)
class StepResult:
    """What a step did. accepted: 1 for theta - step, -1 for theta + step, 0 for theta kept (both conserve only)."""

    loss: float
    seeds: tuple[int, ...]
    coefficients: tuple[float, ...]
    accepted: int
    forwards: int


class Stepper:
    """Runs an optimizer on a problem, holding its state: the step count and each leaf's moments."""

    def __init__(self, optimizer: Optimizer, problem: Problem) -> None:
        self.optimizer = optimizer
        self.problem = problem
        self.taken = 0
        self.state: dict[str, State] = {f.name: optimizer.update.init(f.parameter) for f in problem.leaves}

    @torch.no_grad()
    def step(self, seeds: Sequence[int], lr: float) -> StepResult:
        """One pass of Algorithm 1 on the problem's current batch."""
        estimate = self.optimizer.estimate(self.problem, seeds).clipped(self.optimizer.clip)
        accepted, loss, extra = self._conserve(estimate, lr) if self.optimizer.conserve else (1, estimate.loss, 0)
        self.commit(estimate, lr, accepted)
        return StepResult(loss, estimate.seeds, estimate.coefficients, accepted, estimate.forwards + extra)

    def commit(self, estimate: Estimate, lr: float, accepted: int) -> None:
        """Write theta <- theta - accepted * step, and the state of that step, once; nothing where theta is kept.

        NOTE: the paper does not say what becomes of the state on theta + step. Here its first moment is turned round
        with the step (the second is even in g), so that the state is the one whose step was the move made.
        """
        if accepted == 0:
            return
        self.taken += 1
        for leaf in self.problem.leaves:
            step, state = self._step(estimate, leaf, lr, self.taken)
            leaf.parameter.data.sub_(step, alpha=accepted)
            self.state[leaf.name] = state if accepted > 0 else _reversed(state)

    def _step(self, estimate: Estimate, leaf: Leaf, lr: float, t: int) -> tuple[torch.Tensor, State]:
        g, state = estimate.gradient(self.problem, leaf), self.state[leaf.name]
        kept: State = {}
        if self.optimizer.history:
            g = kept["g"] = torch.lerp(g, state["g"], self.optimizer.history) if "g" in state else g
        step, new = self.optimizer.update.apply(leaf.parameter, self.optimizer.direct(g), state, lr, t)
        return step, new | kept

    def _conserve(self, estimate: Estimate, lr: float) -> tuple[int, float, int]:
        """Of theta, theta - step, theta + step, the one of lowest loss: (accepted, L(theta), extra forwards).

        NOTE: theta + step is looked at only where theta - step does not improve on theta. Along a step on which the
        loss is convex at most one of the two can lie below theta, so nothing is lost; elsewhere theta - step is taken
        without a look at the other. That makes it 4 forwards two-sided and 3 one-sided, one more on a rejection.
        """
        here, extra = (estimate.loss, 0) if estimate.exact else (self.problem.loss_here(), 1)
        if self._loss_after(estimate, lr, 1) < here:
            return 1, here, extra + 1
        if self._loss_after(estimate, lr, -1) < here:
            return -1, here, extra + 2
        return 0, here, extra + 2

    def _loss_after(self, estimate: Estimate, lr: float, accepted: int) -> float:
        def moved(leaf: Leaf) -> torch.Tensor:
            step, _ = self._step(estimate, leaf, lr, self.taken + 1)
            return leaf.parameter.sub(step, alpha=accepted).to(leaf.parameter.dtype)

        return self.problem.loss_at(moved)


def _reversed(state: State) -> State:
    """The state of the opposite step: SGD's velocity `v` (alone) or Adam's `m` changes sign."""
    first = "m" if "m" in state else "v"
    return {k: -s if k == first else s for k, s in state.items()}


def make_optimizer(o: Any) -> Optimizer:
    """The forward-only optimizer that a sweep file's `optimizer` block names (its fields as attributes).

    NOTE: with `history`, the paper's enhancement 2, the first step of a task has no past and takes g as it is.
    """
    zo = partial(spsa, eps=o.eps, sides=o.sides)
    sgd = SGD(o.momentum, o.weight_decay)
    adam = Adam(o.beta1, o.beta2, o.weight_decay)
    adamm = Adam(o.beta1, o.beta2, o.weight_decay, amsgrad=True)
    table = {
        "zo-sgd": Optimizer(zo, identity, sgd),
        "zo-sgd-sign": Optimizer(zo, sign, sgd),
        "zo-sgd-conserve": Optimizer(zo, identity, sgd, conserve=True),
        "zo-adam": Optimizer(zo, identity, adam),
        "zo-adam-sign": Optimizer(zo, sign, adam),
        "zo-adam-conserve": Optimizer(zo, identity, adam, conserve=True),
        "zo-adamm": Optimizer(zo, identity, adamm),
        "forward-grad": Optimizer(forward_gradient, identity, sgd),
    }
    return replace(table[o.name], history=o.history, clip=o.clip)
