"""A ledger made on either device and replayed on the other ends at the same weights and state, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.zo.toys import NAMES, bits, seeds, state, suited_lr
from zfscale.engine.module_leaves import trainable
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.engine.overlay import Overlay
from zfscale.spec import OptimizerSpec
from zfscale.zo.catalogue import DIRECTIONS
from zfscale.zo.directions import compiled, dense
from zfscale.zo.directions.base import CHUNK, make_directions
from zfscale.zo.directions.sparse import Sparse
from zfscale.zo.estimate import Estimate
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper, StepResult, make_algorithm

pytestmark = pytest.mark.gpu
STEPS = 6
ALL: dict[str, Any] = {
    "eps": 1e-2,
    "queries": 3,
    "sides": 1,
    "weight_decay": 0.01,
    "history": 0.4,
    "clip": 1.0,
    "sparsity": 0.5,
}
WAYS = [("cpu", "cuda"), ("cuda", "cpu")]


class Net(nn.Module):
    """A classifier of fixed inputs, drawn on the CPU, of leaves of awkward sizes."""

    x: torch.Tensor
    y: torch.Tensor

    def __init__(self, device: str, dtype: torch.dtype, width: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.body = nn.Sequential(nn.Linear(77, width), nn.Tanh(), nn.Linear(width, width), nn.LayerNorm(width))
        for p in self.body.parameters():
            p.data = torch.randn(p.shape, generator=draw) * 0.2
        self.register_buffer("x", torch.randn(8, 77, generator=draw))
        self.register_buffer("y", torch.arange(8))
        self.to(device, dtype)

    def forward(self) -> torch.Tensor:
        return F.cross_entropy(self.body(self.x).float(), self.y)


@dataclass(frozen=True)
class Run:
    """How a trial goes: all but the device."""

    name: str
    options: dict[str, Any]
    dtype: torch.dtype = torch.float32
    width: int = 101

    @property
    def optimizer(self) -> OptimizerSpec:
        return OptimizerSpec(name=self.name, lr=suited_lr(self.name), **self.options)

    def on(self, device: str) -> Stepper:
        """As a trial makes one."""
        net, o = Net(device, self.dtype, self.width), self.optimizer
        leaves = trainable(net)
        mask = Sparse(5, o.sparsity, leaves.total, leaves.device).mask if o.sparsity else None
        directions = make_directions(o, leaves, device=leaves.device, mask=mask)
        return Stepper(make_algorithm(o), Problem(ModuleOracle(net, leaves, Overlay(net, leaves)), directions))


def check(run: Run, made_on: str, replayed_on: str) -> None:
    """Train on one device, replay on the other."""
    trained, replayed, o = run.on(made_on), run.on(replayed_on), run.optimizer
    assert (trained.theta.device.type, replayed.theta.device.type) == (made_on, replayed_on)
    before = bits(trained.theta.cpu())
    ledger = [trained.step(seeds(t, o.queries), o.lr, t) for t in range(STEPS)]
    for number, taken in enumerate(ledger):
        replay(replayed, taken, o.lr, number)
    assert not torch.equal(bits(trained.theta.cpu()), before)
    assert torch.equal(bits(trained.theta.cpu()), bits(replayed.theta.cpu()))
    one, other = state(trained), state(replayed)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(bits(value.cpu()), bits(other[name].cpu())), name


def replay(stepper: Stepper, taken: StepResult, lr: float, number: int) -> None:
    """As a trial's replay does."""
    estimate = Estimate(taken.seeds, taken.coefficients, taken.loss, exact=False, forwards=0)
    stepper.commit(estimate, lr, taken.accepted, number)


@pytest.mark.parametrize(("made_on", "replayed_on"), WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_of_every_optimizer(name, made_on, replayed_on):
    check(Run(name, {}), made_on, replayed_on)


@pytest.mark.parametrize(("made_on", "replayed_on"), WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("noise", DIRECTIONS)
@pytest.mark.parametrize("name", ["zo-sgd", "zo-adamm"])
def test_of_every_option(name, noise, dtype, made_on, replayed_on):
    check(Run(name, {**ALL, "noise": noise}, dtype), made_on, replayed_on)


@pytest.mark.parametrize(("made_on", "replayed_on"), WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("noise", ["gaussian", "low-rank"])
def test_of_weights_of_several_chunks(noise, dtype, made_on, replayed_on):
    """Each leaf is perturbed as it is read, in pieces of the noise's chunks."""
    width = 1500
    assert width**2 > 4 * CHUNK
    check(Run("zo-adam", {"eps": 1e-2, "noise": noise}, dtype, width), made_on, replayed_on)


@pytest.mark.parametrize(("made_on", "replayed_on"), WAYS)
@pytest.mark.parametrize("noise", sorted(dense.NOISES))
def test_of_compiled_and_eager_noise(noise, made_on, replayed_on, monkeypatch):
    """Compiled on CUDA, eager on the CPU."""
    run, load = Run("zo-sgd", {"noise": noise}, width=1500), compiled.load
    monkeypatch.setattr(dense, "COMPILE_FROM", 1500**2)
    monkeypatch.setattr(compiled, "load", lambda *of: load(*of) if of[2].type == "cuda" else None)
    directions = run.on("cuda").problem.directions
    assert isinstance(directions, dense.Dense)
    assert directions._compiled is not None
    check(run, made_on, replayed_on)
