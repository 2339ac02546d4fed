"""A ledger made on either device and replayed on the other ends at the same weights and state, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from zfscale.zo.noise import CHUNK, Noise
from zfscale.zo.perturb import Perturbation
from zfscale.zo.sparse import Sparse

from tests.zo.toys import NAMES, bits, optimizer_of, seeds, state, suited_lr
from zfscale.zo import noise
from zfscale.zo.estimate import Estimate
from zfscale.zo.leaves import trainable
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper, StepResult

pytestmark = pytest.mark.gpu
STEPS = 6
ALL: dict[str, Any] = {"queries": 3, "sides": 1, "weight_decay": 0.01, "history": 0.4, "clip": 1.0}
DIRECTIONS = [("cpu", "cuda"), ("cuda", "cpu")]


class Net(nn.Module):
    """A classifier of fixed inputs, drawn on the CPU, of leaves of awkward sizes."""

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
    kind: str = "rademacher"
    dtype: torch.dtype = torch.float32
    width: int = 101
    sparsity: float = 0.0

    def on(self, device: str) -> Stepper:
        net = Net(device, self.dtype, self.width)
        leaves = trainable(net)
        mask = Sparse(5, self.sparsity, leaves.total, device).mask if self.sparsity else None
        made = Noise(self.kind, leaves.total, device, self.options.get("queries", 1), mask)
        problem = Problem(net, leaves, Perturbation(net, leaves), made)
        return Stepper(optimizer_of(self.name, **self.options), problem)


def check(run: Run, made_on: str, replayed_on: str) -> None:
    """Train on one device, replay on the other."""
    trained, replayed = run.on(made_on), run.on(replayed_on)
    before, lr, ledger = bits(trained.theta.cpu()), suited_lr(run.name), []
    for t in range(STEPS):
        ledger.append(trained.step(seeds(t, run.options.get("queries", 1)), lr))
    for taken in ledger:
        replay(replayed, taken, lr)
    assert not torch.equal(bits(trained.theta.cpu()), before)
    assert torch.equal(bits(trained.theta.cpu()), bits(replayed.theta.cpu()))
    one, other = state(trained), state(replayed)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(bits(value.cpu()), bits(other[name].cpu())), name


def replay(stepper: Stepper, taken: StepResult, lr: float) -> None:
    """As a trial's replay does."""
    estimate = Estimate(taken.seeds, taken.coefficients, taken.loss, exact=False, forwards=0)
    stepper.commit(estimate, lr, taken.accepted)


@pytest.mark.parametrize(("made_on", "replayed_on"), DIRECTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_of_every_optimizer(name, made_on, replayed_on):
    check(Run(name, {}), made_on, replayed_on)


@pytest.mark.parametrize(("made_on", "replayed_on"), DIRECTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
@pytest.mark.parametrize("name", ["zo-sgd", "zo-adamm"])
def test_of_every_option(name, kind, dtype, made_on, replayed_on):
    check(Run(name, {**ALL, "eps": 1e-2}, kind, dtype, sparsity=0.5), made_on, replayed_on)


@pytest.mark.parametrize(("made_on", "replayed_on"), DIRECTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_of_weights_of_several_chunks(dtype, made_on, replayed_on):
    """Each leaf is perturbed as it is read, in pieces of the noise's chunks."""
    width = 1500
    assert width**2 > 4 * CHUNK
    check(Run("zo-adam", {"eps": 1e-2}, "gaussian", dtype, width), made_on, replayed_on)


@pytest.mark.parametrize(("made_on", "replayed_on"), DIRECTIONS)
@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_of_compiled_and_eager_noise(kind, made_on, replayed_on, monkeypatch):
    """Compiled on CUDA, eager on the CPU."""
    run, load = Run("zo-sgd", {}, kind, width=1500), noise.compiled.load
    monkeypatch.setattr(noise, "COMPILE_FROM", 1500**2)
    monkeypatch.setattr(noise.compiled, "load", lambda *of: load(*of) if of[2].type == "cuda" else None)
    assert run.on("cuda").problem.noise._compiled is not None
    check(run, made_on, replayed_on)
