"""Algorithm 1 of ZeroFlow (arXiv 2501.01045): estimate -> direct -> update, and the optimizers composed from it.

for each step:
    g = estimate(theta, batch)          # 1. losses of a few forwards, never a backward
    h = direct(g)                       # 2. as it is, its sign, or checked against the batch (conserve)
    theta <- theta - update(h)          # 3. SGD, Adam or AdaMM
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from zfscale import registry
from zfscale.errors import SpecError, ZfscaleError
from zfscale.zo import catalogue
from zfscale.zo.direct import Direct, identity, sign
from zfscale.zo.directions.base import Piece
from zfscale.zo.estimate import Estimate
from zfscale.zo.exact import stochastic_round
from zfscale.zo.philox import ROUND
from zfscale.zo.problem import Problem
from zfscale.zo.units import States, grown, states_of
from zfscale.zo.update import State, Update


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


@dataclass(frozen=True)
class Carried:
    """What an optimizer keeps: how many steps it has taken, and of each leaf by name its state and past estimate."""

    taken: int
    kept: Mapping[str, tuple[State, torch.Tensor | None]]


class Stepper:
    """Runs an optimizer on a problem, holding what lies between its steps: their count, the states, past estimates.

    The number of a step, from 0, is its place within a task, taken or not; directions may depend on it.
    """

    def __init__(self, algorithm: Algorithm, problem: Problem) -> None:
        self.algorithm = algorithm
        self.problem = problem
        self.taken = 0
        self.theta = problem.leaves.flat
        self.states = states_of(algorithm.update, problem)
        self.past = torch.zeros_like(self.theta, dtype=torch.float32) if algorithm.history else None

    @torch.no_grad()
    def step(self, seeds: Sequence[int], lr: float, number: int) -> StepResult:
        """One pass of Algorithm 1 on the problem's current batch."""
        found, estimate = self._looked(seeds, lr, number)
        self.commit(estimate, lr, found.accepted, number)
        return found

    @torch.no_grad()
    def look(self, seeds: Sequence[int], lr: float, number: int) -> StepResult:
        """What `step` would do on the current batch: its losses are computed, and nothing is written."""
        return self._looked(seeds, lr, number)[0]

    def _looked(self, seeds: Sequence[int], lr: float, number: int) -> tuple[StepResult, Estimate]:
        self.problem.directions.at(number)
        estimate = self.algorithm.estimate(self.problem, seeds)
        if len(estimate.seeds) != len(seeds):
            raise ZfscaleError(
                f"optimizer: its estimate took {len(estimate.seeds)} directions, of {len(seeds)} queries"
            )
        accepted, loss, extra = 0, estimate.loss, 0
        if estimate.finite:
            accepted, estimate = 1, self._shaped(estimate)
            if self.algorithm.conserve:
                accepted, loss, extra = self._conserve(estimate, lr)
        found = StepResult(loss, estimate.seeds, estimate.coefficients, accepted, estimate.forwards + extra)
        return found, estimate

    def carried(self) -> Carried:
        """What is kept so far, for `start_from`; the weights must be whole, not divided over ranks."""
        leaves = self.problem.leaves
        assert not leaves.sharded, "what ranks hold of a leaf is no leaf"
        kept = {}
        for leaf in leaves:
            past = None if self.past is None else self.past[leaves.here(leaf.start, leaf.stop)].view(tuple(leaf.shape))
            kept[leaf.name] = (self.states.of(leaf), None if past is None else past.clone())
        return Carried(self.taken, kept)

    def start_from(self, carried: Carried) -> None:
        """Go on with what another stepper kept of the leaves of the same names.

        NOTE: t, of Adam's bias corrections, counts on, so a leaf that is new takes larger first steps than with a state
        that starts anew: by (1 - beta1) / sqrt(1 - beta2), 3.2 times lr. Its past estimate is 0, so that `history`
        makes its first g smaller. A fresh leaf of an old name, as MEMO's auxiliary head is, takes over the old state.
        """
        self.taken, leaves = carried.taken, self.problem.leaves
        for leaf in leaves:
            if leaf.name not in carried.kept:
                continue
            state, past = carried.kept[leaf.name]
            self.states.start_from(leaf, state)
            if self.past is not None and past is not None:
                grown(past, self.past[leaves.here(leaf.start, leaf.stop)].view(tuple(leaf.shape)))

    def take_over(self, other: Stepper) -> None:
        """Go on in the middle of a task where a stepper of the same update on the same leaves is, sharded or not."""
        self.taken, self.past = other.taken, other.past
        states: States = self.states
        states.take_over(other.states)

    @torch.no_grad()
    def commit(
        self, estimate: Estimate, lr: float, accepted: int, number: int, held: Sequence[Piece] | None = None
    ) -> None:
        """Write theta <- theta - accepted * step, and the state of that step, once; nothing where theta is kept.

        `held` are the ranges to write, by default all that this process holds of the flat vector. They may be any
        division of it, or part of it, in any order, where the update is by elements: an element's step depends on
        nothing but its own weight, state and noise.

        NOTE: the paper does not say what becomes of the state on theta + step. Here it is the one of which that step
        was the move made (`Update.reverse`), and the past estimates are turned round with it.
        """
        if accepted == 0:
            return
        self.taken += 1
        self.problem.directions.at(number)
        leaves = self.problem.leaves
        assert leaves.attached, "the parameters were moved away from the flat vector"
        for first, last in leaves.held if held is None else held:
            for piece in self.states.pieces(first, last):
                here = leaves.here(*piece)
                g, state = self._move(estimate, piece, lr, self.taken, accepted, self.theta[here])
                self.states.keep(piece, state if accepted > 0 else self.algorithm.update.reverse(state))
                if self.past is not None:
                    self.past[here] = g if accepted > 0 else -g

    def _shaped(self, estimate: Estimate) -> Estimate:
        """The estimate with its coefficients as the ledger will have them."""
        if self.algorithm.clip:
            estimate = estimate.clipped(self.algorithm.clip)
        return estimate.signed() if self.algorithm.projected else estimate

    def _move(
        self, estimate: Estimate, piece: Piece, lr: float, t: int, accepted: int, out: torch.Tensor
    ) -> tuple[torch.Tensor, State]:
        """Write theta - accepted * step of a piece of the flat vector to `out`; its g and the state after that step."""
        here = self.problem.leaves.here(*piece)
        g, theta = estimate.gradient(self.problem, *piece), self.theta[here]
        if self.past is not None and t > 1:
            g = g * (1 - self.algorithm.history) + self.past[here] * self.algorithm.history
        step, state = self.states.apply(theta, self.algorithm.direct(g), piece, lr, t)
        combine = torch.sub if accepted > 0 else torch.add
        if theta.dtype.itemsize > 2 and out.dtype == theta.dtype:
            combine(theta, step, out=out)
        else:
            out.copy_(self._rounded(combine(theta, step), estimate.seeds[0], piece))
        return g, state

    def _rounded(self, moved: torch.Tensor, seed: int, piece: Piece) -> torch.Tensor:
        """`moved` as a number of theta's dtype; 16 bits are rounded stochastically, by noise of the first seed."""
        if self.theta.dtype.itemsize > 2:
            return moved.to(self.theta.dtype)
        return stochastic_round(moved, self.theta.dtype, self.problem.directions.uniform(seed, *piece, ROUND))

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
        def point(start: int, stop: int, out: torch.Tensor) -> None:
            for a, b in self.states.pieces(start, stop):
                self._move(estimate, (a, b), lr, self.taken + 1, accepted, out[a - start : b - start])

        return self.problem.loss_at(point)


def make_algorithm(o: Any) -> Algorithm:
    """The forward-only optimizer that a sweep file's `optimizer` block names (its fields as attributes).

    NOTE: with `history`, the paper's enhancement 2, the first step of a task has no past, unless that is carried over,
    and takes g as it is.
    Errors: SpecError if a user's own update has another unit than its `Rule` says.
    """
    facts = catalogue.optimizer(o.name)
    estimate = partial(registry.load(facts.estimator.path), **_given(o, facts.estimator.arguments))
    update = registry.load(facts.rule.path)(**_given(o, facts.rule.arguments))
    if update.unit != facts.rule.unit:
        units = f"{facts.rule.path} has unit {update.unit!r}, its Rule {facts.rule.unit!r}"
        raise SpecError(f"optimizer.name: {o.name!r}: {units}")
    projected = facts.direct == "sign" and o.sign == "projected"
    direct = sign if facts.direct == "sign" and not projected else identity
    return Algorithm(estimate, direct, update, facts.direct == "conserve", o.history, o.clip, projected)


def _given(o: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(o, name) for name in names}
