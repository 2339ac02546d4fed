"""Shared by these tests: small problems, the optimizers by name, and the flat weights and state to compare."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zfscale.engine.module_leaves import trainable
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.engine.overlay import Overlay
from zfscale.spec import OptimizerSpec
from zfscale.zo.catalogue import OPTIMIZERS
from zfscale.zo.directions.base import Directions
from zfscale.zo.directions.dense import Gaussian, Rademacher
from zfscale.zo.estimate import Estimate
from zfscale.zo.leaves import Leaf
from zfscale.zo.philox import derive
from zfscale.zo.problem import Problem
from zfscale.zo.step import Algorithm, Stepper, make_algorithm

# Those of updates that the tests here know from torch.optim; the contract suite covers all others, too.
NAMES = [n for n, facts in OPTIMIZERS.items() if not facts.first_order and facts.update in ("sgd", "adam", "adamm")]
KINDS: dict[str, type[Directions]] = {"rademacher": Rademacher, "gaussian": Gaussian}
CONSERVE = [n for n in NAMES if n.endswith("conserve")]


def suited_lr(name: str) -> float:
    """A learning rate for `Regression`."""
    if "adam" in name:
        return 0.05
    return 0.01 if name.endswith("sign") else 0.02 if name.endswith("conserve") else 0.004


class Regression(nn.Module):
    """Least squares with two leaves (10 elements), convex; counts its forwards."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.x = torch.randn(32, 4, generator=g)
        self.y = self.x @ torch.randn(4, 2, generator=g) + 0.5
        self.linear = nn.Linear(4, 2)
        self.frozen = nn.Parameter(torch.ones(()), requires_grad=False)
        with torch.no_grad():
            for p in self.linear.parameters():
                p.copy_(torch.randn(p.shape, generator=g))
        self.forwards = 0

    def forward(self) -> torch.Tensor:
        self.forwards += 1
        x = self.x.to(self.linear.weight.dtype)
        return self.frozen.float() * F.mse_loss(self.linear(x).float(), self.y)


class Wide(nn.Module):
    """20,510 elements in leaves of awkward sizes; a classifier of fixed inputs."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(1)
        self.x, self.y = torch.randn(8, 77, generator=g).to(dtype), torch.arange(8)
        self.body = nn.Sequential(
            nn.Linear(77, 211), nn.Tanh(), nn.Linear(211, 17), nn.LayerNorm(17), nn.Linear(17, 23)
        )
        for p in self.parameters():
            p.data = torch.randn(p.shape, generator=g) * 0.2
        self.to(dtype)

    def forward(self) -> torch.Tensor:
        out = self.body(self.x)
        return F.cross_entropy(out.to(torch.promote_types(out.dtype, torch.float32)), self.y)


def problem_of(net: nn.Module, kind: str = "rademacher", queries: int = 1, mask: Any = None) -> Problem:
    leaves = trainable(net)
    directions = KINDS[kind](leaves, queries=queries, mask=mask)
    return Problem(ModuleOracle(net, leaves, Overlay(net, leaves)), directions)


def dense_of(kind: str, total: int, **settings: Any) -> Directions:
    """Of one leaf, a vector."""
    return KINDS[kind]([Leaf("w", (total,), 0, total, 0, total, 0)], **settings)


def optimizer_of(name: str, **options: Any) -> Algorithm:
    return make_algorithm(OptimizerSpec(name=name, lr=suited_lr(name), **options))


def make(optimizer: Algorithm | str, kind: str = "rademacher", net: Any = None, **options: Any) -> tuple[Any, Stepper]:
    if isinstance(optimizer, str):
        optimizer = optimizer_of(optimizer, **options)
    net = Regression() if net is None else net
    return net, Stepper(optimizer, problem_of(net, kind))


def seeds(t: int, q: int = 1) -> list[int]:
    return [derive(17, t, i) for i in range(q)]


def given(*coefficients: float, t: int = 0) -> Estimate:
    """An estimate as the ledger would have it."""
    return Estimate(tuple(seeds(t, len(coefficients))), coefficients, 1.0, exact=True, forwards=0)


def weights(net: nn.Module) -> torch.Tensor:
    """The trainable ones, flat."""
    return torch.cat([p.detach().clone().flatten() for p in net.parameters() if p.requires_grad])


def state(stepper: Stepper) -> dict[str, torch.Tensor]:
    states: Any = stepper.states
    kept = dict(states.vectors)
    if stepper.past is not None:
        kept["g"] = stepper.past
    return {name: vector.clone() for name, vector in kept.items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def bits(x: torch.Tensor) -> torch.Tensor:
    """To compare with: also tells -0 from 0 and one NaN from another."""
    return x.detach().clone().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[x.dtype.itemsize])
