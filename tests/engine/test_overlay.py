"""A perturbed forward is the forward of a model whose weights were really written, and writes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zfscale.engine.module_leaves import ModuleLeaves, trainable
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.engine.overlay import Overlay
from zfscale.errors import ZfscaleError
from zfscale.zo.directions.dense import Gaussian
from zfscale.zo.problem import Problem


class Net(nn.Module):
    """Every way in which a module may hold a leaf: own, tied, frozen, bare, shared and read by another module."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.scale = nn.Parameter(torch.ones(8))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mix = nn.Linear(8, 8)
        self.frozen = nn.Linear(8, 8)
        self.frozen.requires_grad_(False)
        self.decode = nn.Linear(8, 11)
        self.decode.weight = self.embed.weight
        self.fail = False

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.embed(tokens) * self.scale)
        x = x + self.attention(self.mix(x), x, x)[0]
        x = torch.tanh(self.mix(x)) + self.frozen(x)  # mix runs twice
        if self.fail:
            raise RuntimeError("mid-forward")
        return self.decode(x)


TOKENS = torch.tensor([[1, 4, 7, 2], [3, 3, 0, 10]])


def make(dtype: torch.dtype = torch.float32) -> tuple[Net, Any]:
    torch.manual_seed(0)
    net = Net().to(dtype)
    for p in net.parameters():
        p.data.add_(0.1 * torch.randn_like(p))  # biases and norms too
    leaves = trainable(net)

    def loss() -> torch.Tensor:
        return F.cross_entropy(net(TOKENS).float().flatten(0, 1), TOKENS.flatten().roll(1))

    return net, Problem(ModuleOracle(loss, leaves, Overlay(net, leaves)), Gaussian(leaves))


def snapshot(net: nn.Module) -> dict[str, tuple[int, torch.Tensor]]:
    named = net.named_parameters(remove_duplicate=False)
    return {name: (id(p), p.detach().clone()) for name, p in named}


def unchanged(net: nn.Module, before: dict[str, tuple[int, torch.Tensor]]) -> bool:
    after = snapshot(net)
    return after.keys() == before.keys() and all(
        after[n][0] == before[n][0] and torch.equal(after[n][1], before[n][1]) for n in before
    )


def test_leaves_are_the_flat_vector():
    net, problem = make()
    leaves = list(problem.leaves)
    names = [n for n, p in net.named_parameters() if p.requires_grad]
    assert [leaf.name for leaf in leaves] == names
    assert "decode.weight" not in names  # tied: once, under its first name
    assert not any(n.startswith("frozen") for n in names)
    end = 0
    for leaf in leaves:
        assert leaf.start == end
        end += leaf.parameter.numel()
    assert end == problem.leaves.total
    assert torch.equal(problem.leaves.flat, torch.cat([leaf.parameter.detach().flatten() for leaf in leaves]))
    problem.leaves.flat.fill_(3.0)  # the parameters are views of it
    assert all((leaf.parameter == 3.0).all() for leaf in leaves)
    assert (net.decode.weight == 3.0).all()
    assert not (net.frozen.weight == 3.0).any()


def test_what_leaves_refuse():
    net = nn.Linear(2, 2)
    net.bias.data = net.bias.data.double()
    with pytest.raises(ZfscaleError, match="one dtype"):
        trainable(net)
    with pytest.raises(ZfscaleError, match="nothing to train"):
        trainable(net.requires_grad_(False))
    with pytest.raises(ZfscaleError, match="nothing to train"):
        ModuleLeaves([("empty", nn.Parameter(torch.empty(0)))])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1e-3, -0.5])
def test_loss_is_that_of_a_model_with_the_weights_written(dtype, scale):
    net, problem = make(dtype)
    written = copy.deepcopy(net)  # its hooks are bound to the original's perturbation, which is closed
    assert written.decode.weight is written.embed.weight
    with torch.no_grad():
        for leaf in problem.leaves:
            target = written.get_parameter(leaf.name)
            z = problem.directions.slice(42, leaf.start, leaf.stop).view(target.shape)
            target.copy_(target.float() + scale * z)
        expected = float(F.cross_entropy(written(TOKENS).float().flatten(0, 1), TOKENS.flatten().roll(1)))
    before = snapshot(net)
    here = problem.loss_here()
    got = problem.loss_along(42, scale)
    assert got == pytest.approx(expected, rel=1e-6 if dtype == torch.float32 else 5e-3)
    assert abs(got - here) > 10 * abs(got - expected)
    assert problem.loss_here() == here
    assert unchanged(net, before)


@pytest.mark.parametrize("name", [n for n, p in Net().named_parameters() if p.requires_grad])
def test_every_leaf_reaches_the_forward(name):
    """One leaf at a time; the out_proj of nn.MultiheadAttention is read by its parent, not by its own forward."""
    _, problem = make()
    shift = torch.zeros(problem.leaves.total)
    (leaf,) = [leaf for leaf in problem.leaves if leaf.name == name]
    shift[leaf.start : leaf.stop] = torch.randn(leaf.parameter.numel(), generator=torch.Generator().manual_seed(1))

    def point(a, b, out):
        torch.add(problem.leaves.flat[a:b], shift[a:b], out=out)

    got = problem.loss_at(point)
    here = problem.loss_here()
    problem.leaves.flat.add_(shift)
    expected = problem.loss_here()
    if name != "attention.in_proj_bias":
        assert abs(expected - here) > 1e-4
    assert got == pytest.approx(expected, rel=1e-5)


def test_a_forward_that_raises_leaves_the_model_as_it_was():
    net, problem = make()
    before, here = snapshot(net), problem.loss_here()
    net.fail = True
    with pytest.raises(RuntimeError, match="mid-forward"):
        problem.loss_along(1, 0.5)
    net.fail = False
    net.decode.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(KeyError("inside the owner")))
    with pytest.raises(KeyError):
        problem.loss_along(1, 0.5)  # decode's leaves are replaced when it raises
    net.decode._forward_pre_hooks.popitem()
    assert unchanged(net, before)
    assert problem.loss_here() == here


def test_nothing_is_replaced_outside_of_its_own_forward():
    net, problem = make()
    seen = []
    net.frozen.register_forward_hook(lambda *_: seen.append(net.mix.weight))
    net.mix.register_forward_hook(lambda *_: seen.append(net.decode.weight))
    problem.loss_along(1, 0.5)
    assert len(seen) == 3
    assert all(isinstance(w, nn.Parameter) for w in seen)


def test_perturbations_do_not_nest():
    _, problem = make()
    at = problem.oracle.overlay.at
    with at(lambda leaf: leaf.parameter), pytest.raises(AssertionError, match="nest"), at(lambda leaf: leaf.parameter):
        pass


def test_remove_takes_the_hooks_off():
    net, problem = make()

    def hooks() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())

    assert hooks() > 0
    problem.oracle.overlay.remove()
    assert hooks() == 0
    assert problem.loss_along(1, 0.5) == problem.loss_here()


def test_leaves_are_seen_in_the_dtype_asked_for():
    """Perturbed or not, and by autograd; the weights themselves keep theirs."""
    net = nn.Linear(3, 2)
    leaves = trainable(net, lambda name: torch.bfloat16 if name == "weight" else None)
    overlay = Overlay(net, leaves)
    net.register_forward_pre_hook(lambda *_: seen.append((net.weight.dtype, net.bias.dtype)))
    seen: list[tuple[torch.dtype, torch.dtype]] = []
    x = torch.ones(1, 3)

    def loss() -> torch.Tensor:
        return (net.weight.float() @ x[0] + net.bias).square().sum()

    net.forward = lambda _: loss()  # type: ignore[method-assign, assignment]
    problem = Problem(ModuleOracle(lambda: net(x), leaves, overlay), Gaussian(leaves))
    z = problem.directions.slice(1, 0, 8)
    w, b = net.weight.detach().clone(), net.bias.detach().clone()
    for scale, value in ((0.0, problem.loss_here()), (0.5, problem.loss_along(1, 0.5))):
        moved = (w + scale * z[:6].view(2, 3)).bfloat16().float()
        assert value == pytest.approx(float((moved.sum(1) + b + scale * z[6:]).square().sum()), rel=1e-6)
    net(x).backward()
    assert net.weight.grad is not None
    assert net.weight.grad.dtype == net.weight.dtype == torch.float32
    assert set(seen) == {(torch.bfloat16, torch.float32)}
