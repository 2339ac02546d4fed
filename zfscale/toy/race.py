"""An optimizer's way on the toy, by the code that trains models: the oracle answers from closed-form losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.autograd import forward_ad

from zfscale import registry
from zfscale.toy.loss import STARTS, losses, total
from zfscale.toy.racers import Racer
from zfscale.zo import catalogue
from zfscale.zo.directions.base import make_directions
from zfscale.zo.directions.sparse import Sparse
from zfscale.zo.leaves import Leaves
from zfscale.zo.oracle import Oracle, Point, Tangent
from zfscale.zo.philox import derive
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper, make_algorithm

STEP, SPARSE = range(2)  # what seeds are derived for
Position = list[float]


class Plane(Oracle):
    """L1 + L2 of two scalar leaves, t1 and t2, in float64; slopes are exact, by forward differentiation."""

    def __init__(self, start: Sequence[float]) -> None:
        self.leaves = Leaves.of({"t1": (), "t2": ()}, torch.tensor(start, dtype=torch.float64))

    def losses(self, points: Sequence[Point | None]) -> list[float]:
        """See `Oracle`."""
        values: list[float] = total(torch.stack([self._at(point) for point in points])).tolist()
        return values

    def slopes(self, tangents: Sequence[Tangent]) -> list[tuple[float, float]]:
        """See `Oracle`."""
        theta = self.leaves.flat
        with forward_ad.dual_level():
            z = torch.stack([tangent(0, theta.numel()) for tangent in tangents]).to(theta.dtype)
            loss, slope = forward_ad.unpack_dual(total(forward_ad.make_dual(theta.expand_as(z).clone(), z)))
            assert slope is not None
            return list(zip(loss.tolist(), slope.tolist(), strict=True))

    def _at(self, point: Point | None) -> torch.Tensor:
        if point is None:
            return self.leaves.flat
        out = torch.empty_like(self.leaves.flat)
        point(0, out.numel(), out)
        return out


@dataclass(frozen=True)
class Trajectory:
    """Where an optimizer was before its first and after each step.

    Args:
        points: float64 [steps + 1, 2], (t1, t2).
    """

    start: str
    racer: Racer
    points: np.ndarray

    @property
    def losses(self) -> tuple[np.ndarray, np.ndarray]:
        """L1 and L2 on the way, [steps + 1] each."""
        old, new = losses(torch.from_numpy(self.points))
        return old.numpy(), new.numpy()


def run(racer: Racer, start: str, steps: int, seed: int = 0) -> Trajectory:
    """Take `steps` steps from STARTS[start]; the same seed gives the same way."""
    plane, o = Plane(STARTS[start]), racer.options
    if catalogue.optimizer(o.name).first_order:
        way = list(first_order(plane, racer, o.name, o.lr, steps))
    else:
        phase, count = o.first_order, min(steps, o.first_order.epochs if o.first_order else 0)
        way = [] if phase is None else list(first_order(plane, racer, phase.name, phase.lr, count))
        way += forward_only(plane, racer, count, steps, seed)
    return Trajectory(start, racer, np.array([STARTS[start], *way]))


def first_order(plane: Plane, racer: Racer, name: str, lr: float, steps: int) -> Iterator[Position]:
    """Where backpropagation and the rule of torch.optim go, step by step; they write the plane's own weights."""
    theta = torch.nn.Parameter(plane.leaves.flat)
    rule = catalogue.optimizer(name).rule
    optimizer = registry.load(rule.path)([theta], lr, **rule.torch_options(racer.options))
    for _ in range(steps):
        optimizer.zero_grad()
        total(theta).backward()
        optimizer.step()
        yield theta.tolist()


def forward_only(plane: Plane, racer: Racer, first: int, stop: int, seed: int) -> Iterator[Position]:
    """Where Algorithm 1 goes in steps first .. stop - 1."""
    o, number = racer.options.filled(), first

    def mask(start: int, count: int) -> torch.Tensor:
        return Sparse(derive(seed, SPARSE, number), o.sparsity, plane.leaves.total).mask(start, count)

    # NOTE: training keeps one mask for a task. Of two weights that would leave one for good, so here each step has its
    # own, and a share of a half looks along one axis at a time.
    directions = make_directions(o, plane.leaves, mask=mask if o.sparsity else None)
    stepper = Stepper(make_algorithm(o), Problem(plane, directions))
    for number in range(first, stop):
        seeds = map(partial(derive, seed, STEP, number), range(o.queries))
        stepper.step(list(seeds), o.lr, number)
        yield plane.leaves.flat.tolist()
