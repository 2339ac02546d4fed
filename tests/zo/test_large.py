"""Sets of many chunks, whose leaves are made one by one when they are read, do as a set of one chunk does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from toys import NAMES, Wide, bits, given, optimizer_of, problem_of, same, seeds, state, suited_lr, weights

from zfscale.engine import module_oracle
from zfscale.engine.module_leaves import ModuleLeaf
from zfscale.engine.overlay import Scratch
from zfscale.zo.directions import base
from zfscale.zo.directions.base import GROUP
from zfscale.zo.directions.sparse import Sparse
from zfscale.zo.estimate import forward_gradient, spsa
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
KINDS = ["rademacher", "gaussian"]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "CHUNK", GROUP)
    monkeypatch.setattr(module_oracle, "CHUNK", GROUP)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_one_chunk(kind, dtype, monkeypatch):
    def look(p: Problem) -> list[float]:
        mask = p.leaves.flat.float().abs()
        point = lambda a, b, out: out.copy_(p.leaves.flat[a:b].float() - 0.1 * mask[a:b])  # noqa: E731
        return [p.loss_here(), *(p.loss_along(s, e) for s in (1, 2) for e in (0.1, -0.1)), p.loss_at(point)]

    whole = look(problem_of(Wide(dtype), kind))
    monkeypatch.setattr(base, "CHUNK", GROUP)
    monkeypatch.setattr(module_oracle, "CHUNK", GROUP)
    net = Wide(dtype)
    before = bits(weights(net))
    assert look(problem_of(net, kind)) == pytest.approx(whole, rel=1e-6 if dtype.itemsize > 2 else 1e-3)
    assert torch.equal(bits(weights(net)), before)
    assert len(set(whole)) == len(whole)


CASES = [(n, torch.bfloat16) for n in NAMES] + [(n, d) for n in ("zo-sgd", "zo-adamm-sign") for d in DTYPES[::2]]


@pytest.mark.parametrize(("name", "dtype"), [*CASES, ("zo-adam", torch.float64)])
def test_the_same_coefficients_move_the_weights_to_the_same_bits(name, dtype, monkeypatch):
    options: dict[str, Any] = {"weight_decay": 0.01, "history": 0.3}
    if name.endswith("sign"):
        options["sign"] = "projected"
    runs = []
    for chunk in (base.CHUNK, 2 * GROUP, GROUP):
        monkeypatch.setattr(base, "CHUNK", chunk)
        monkeypatch.setattr(module_oracle, "CHUNK", chunk)
        net = Wide(dtype)
        mask = Sparse(3, 0.2, 20_510).mask
        stepper = Stepper(optimizer_of(name, **options), problem_of(net, "gaussian", 2, mask))
        for t, accepted in enumerate((1, 0, -1, 1)):
            stepper.commit(given(0.7, -1.3, t=t), 1e-2, accepted, t)
        runs.append((bits(weights(net)), state(stepper)))
    assert torch.equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][0], runs[2][0])
    assert same(runs[0][1], runs[1][1])
    assert same(runs[0][1], runs[2][1])
    assert not torch.equal(runs[0][0], bits(weights(Wide(dtype))))


@pytest.mark.parametrize("name", ["zo-sgd", "zo-adam-conserve", "forward-grad-conserve"])
def test_whole_steps_stay_close(name, monkeypatch):
    """Coefficients differ in their last bits, as the forwards round differently."""
    runs = []
    for chunk in (base.CHUNK, GROUP):
        monkeypatch.setattr(base, "CHUNK", chunk)
        monkeypatch.setattr(module_oracle, "CHUNK", chunk)
        net = Wide(torch.float64)
        stepper = Stepper(optimizer_of(name, sides=1), problem_of(net, queries=2))
        results = [stepper.step(seeds(t, 2), 1e-2 * suited_lr(name), t) for t in range(4)]
        runs.append((weights(net), [r.accepted for r in results], [c for r in results for c in r.coefficients]))
    assert runs[0][1] == runs[1][1]
    assert runs[1][2] == pytest.approx(runs[0][2], rel=1e-4)
    torch.testing.assert_close(runs[0][0], runs[1][0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_estimates_of_many_queries(kind, small_chunks):
    """Each query's chunks push the others' out of the cache."""
    p = problem_of(Wide(torch.float64), kind, queries=3)
    g = torch.cat([g.flatten() for g in torch.autograd.grad(p.oracle.loss(), [leaf.parameter for leaf in p.leaves])])
    for estimate in (spsa(p, seeds(0, 3), 1e-4, 2), forward_gradient(p, seeds(0, 3))):
        along = [float(g @ p.directions.slice(s, 0, p.leaves.total).double()) for s in seeds(0, 3)]
        assert estimate.coefficients == pytest.approx(along, rel=1e-3, abs=1e-6)


class Returning(nn.Module):
    """A prompt that a module of its own hands out, as a view of itself, and whose tensor lives on."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(5)
        self.prompt = Prompt(torch.randn(64, 64, generator=g))
        self.linear = nn.Linear(64, 64, bias=False)
        self.linear.weight.data = torch.randn(64, 64, generator=g)

    def forward(self) -> torch.Tensor:
        prompt = self.prompt(1)
        return F.mse_loss(self.linear(prompt), prompt.float())


class Prompt(nn.Module):
    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value)

    def forward(self, count: int) -> torch.Tensor:
        return self.value.expand(count, -1, -1)


def test_a_module_may_return_its_own_leaf(monkeypatch):
    whole = problem_of(Returning()).loss_along(1, 0.5)
    monkeypatch.setattr(base, "CHUNK", GROUP)
    monkeypatch.setattr(module_oracle, "CHUNK", GROUP)
    assert problem_of(Returning()).loss_along(1, 0.5) == pytest.approx(whole, rel=1e-5)


def test_scratch_holds_no_more_than_the_modules_in_progress(small_chunks, monkeypatch):
    given_out: list[int] = []
    take = Scratch.take

    def spy(self: Scratch, leaf: ModuleLeaf) -> torch.Tensor:
        tensor = take(self, leaf)
        given_out.append(tensor.untyped_storage().data_ptr())
        return tensor

    monkeypatch.setattr(Scratch, "take", spy)
    p = problem_of(Wide())
    for t in range(3):
        p.loss_along(t, 0.1)
    assert len(given_out) == 3 * len(p.leaves)
    held = p.oracle._scratch._free
    assert len(held) <= 2  # a module's weight and its bias
    assert sum(t.numel() for t in held) <= 211 * 77 + 211
    assert set(given_out[len(p.leaves) :]) == {t.data_ptr() for t in held}  # after the first forward, nothing is new


def test_a_forward_that_raises_gives_everything_back(small_chunks):
    net = Wide()
    p = problem_of(net)
    before, here, along = bits(weights(net)), p.loss_here(), p.loss_along(1, 0.1)
    free = sum(t.numel() for t in p.oracle._scratch._free)
    handle = net.body[2].register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(KeyError("mid-forward")))
    with pytest.raises(KeyError):
        p.loss_along(1, 0.1)
    handle.remove()
    assert sum(t.numel() for t in p.oracle._scratch._free) == free
    assert (p.loss_here(), p.loss_along(1, 0.1)) == (here, along)
    assert torch.equal(bits(weights(net)), before)
