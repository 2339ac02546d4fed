"""Algorithm 1: one table test over every forward-only optimizer, then what sign and conserve promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zfscale.spec import OptimizerSpec
from zfscale.zo.direct import identity, sign
from zfscale.zo.estimate import Estimate, Problem, spsa
from zfscale.zo.leaves import trainable
from zfscale.zo.noise import Noise, derive
from zfscale.zo.perturb import Perturbation
from zfscale.zo.step import Optimizer, Stepper, make_optimizer
from zfscale.zo.update import SGD, Adam

LR = {  # one that suits the problem below
    "zo-sgd": 0.004,
    "zo-sgd-sign": 0.01,
    "zo-sgd-conserve": 0.02,
    "zo-adam": 0.05,
    "zo-adam-sign": 0.05,
    "zo-adam-conserve": 0.05,
    "zo-adamm": 0.05,
    "forward-grad": 0.004,
}
NAMES = [n for n in get_args(OptimizerSpec.model_fields["name"].annotation) if not n.startswith("fo-")]
CONSERVE = [n for n in NAMES if n.endswith("conserve")]


class Regression(nn.Module):
    """Least squares with two leaves, convex; counts its forwards."""

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
        return self.frozen * F.mse_loss(self.linear(self.x).float(), self.y)


def make(optimizer: Optimizer | str, **options: Any) -> tuple[Regression, Stepper]:
    if isinstance(optimizer, str):
        optimizer = make_optimizer(OptimizerSpec(name=optimizer, lr=LR[optimizer], **options))
    net = Regression()
    leaves = trainable(net)
    return net, Stepper(optimizer, Problem(net, leaves, Perturbation(net, leaves), Noise("rademacher")))


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().clone().flatten() for p in net.parameters()])


def state(stepper: Stepper) -> dict[tuple[str, str], torch.Tensor]:
    return {(leaf, k): v.clone() for leaf, s in stepper.state.items() for k, v in s.items()}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def seeds(t: int, q: int = 1) -> list[int]:
    return [derive(17, t, i) for i in range(q)]


def test_the_table_is_complete():
    assert set(LR) == set(NAMES)


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_lowers_a_convex_loss_and_repeats_bit_for_bit(name, sides):
    runs = []
    for _ in range(2):
        net, stepper = make(name, sides=sides)
        before = float(net().detach())
        net.forwards = 0
        results = [stepper.step(seeds(t), LR[name]) for t in range(60)]
        assert sum(r.forwards for r in results) == net.forwards
        assert all(p.grad is None for p in net.parameters())
        assert float(net.frozen) == 1
        after = float(net().detach())
        assert after < 0.5 * before, (before, after)
        runs.append((results, weights(net), state(stepper)))
        torch.rand(1)  # the global generator moves on between the runs
    assert runs[0][0] == runs[1][0]
    assert torch.equal(runs[0][1], runs[1][1])
    assert same(runs[0][2], runs[1][2])


@pytest.mark.parametrize("name", NAMES)
def test_a_zero_learning_rate_keeps_the_weights_bit_for_bit(name):
    net, stepper = make(name, queries=2, weight_decay=0.1)
    before = weights(net)
    for t in range(3):
        stepper.step(seeds(t, 2), 0.0)
    assert torch.equal(weights(net), before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("q", [1, 3])
def test_one_step_is_the_estimate_through_torch_optim(name, q):
    """theta after a step, from the symbolic result alone: g = mean c_i z_i, its sign, torch.optim's rule."""
    net, stepper = make(name, weight_decay=0.01, queries=q)
    start = weights(net)[1:]  # without `frozen`
    result = stepper.step(seeds(0, q), LR[name])
    assert result.seeds == tuple(seeds(0, q))
    g = sum(c * Noise("rademacher").slice(s, 0, 10, 10) for s, c in zip(result.seeds, result.coefficients, strict=True))
    h = torch.sign(g / q) if name.endswith("sign") else g / q
    theta = nn.Parameter(start.clone())
    rule = torch.optim.Adam if "adam" in name else torch.optim.SGD
    optimizer = rule([theta], LR[name], weight_decay=0.01)
    theta.grad = h
    optimizer.step()
    expected = start + result.accepted * (theta.detach() - start)
    torch.testing.assert_close(weights(net)[1:], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("q", [1, 2])
def test_sign_is_element_wise(q):
    net, stepper = make(Optimizer(lambda p, s: spsa(p, s, 1e-3, 2), sign, SGD(0.0)))
    before = weights(net)[1:]
    result = stepper.step(seeds(3, q), 0.25)
    g = sum(c * Noise("rademacher").slice(s, 0, 10, 10) for s, c in zip(result.seeds, result.coefficients, strict=True))
    torch.testing.assert_close(before - weights(net)[1:], 0.25 * torch.sign(g))


def test_directions():
    g = torch.tensor([3.0, -0.5, 0.0])
    assert torch.equal(identity(g), g)
    assert torch.equal(sign(g), torch.tensor([1.0, -1.0, 0.0]))


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("name", CONSERVE)
def test_conserve_that_always_accepts_is_the_plain_trajectory(name, sides):
    """So the state is committed once a step, and looking at a candidate leaves no trace."""
    conserve = make(name, sides=sides)
    plain = make(name.removesuffix("-conserve"), sides=sides)
    lr = 1e-4
    for t in range(8):
        a, b = conserve[1].step(seeds(t, 2), lr), plain[1].step(seeds(t, 2), lr)
        assert a.accepted == 1
        assert a.coefficients == b.coefficients
        assert a.forwards == (4 + 1 + 1 if sides == 2 else 3 + 1)
        assert torch.equal(weights(conserve[0]), weights(plain[0]))
        assert same(state(conserve[1]), state(plain[1]))
    assert conserve[1].taken == plain[1].taken == 8


@pytest.mark.parametrize(("sides", "forwards"), [(1, (3, 4)), (2, (4, 5))])
@pytest.mark.parametrize("name", CONSERVE)
def test_conserve_takes_the_best_point_it_looked_at(name, sides, forwards):
    net, stepper = make(name, sides=sides)
    seen = set()
    for t in range(60):
        before, kept, taken = weights(net), state(stepper), stepper.taken
        here = float(net().detach())
        net.forwards = 0
        result = stepper.step(seeds(t), 3 * LR[name])  # large, so that it often overshoots
        assert net.forwards == result.forwards == (forwards[0] if result.accepted == 1 else forwards[1])
        assert result.loss == pytest.approx(here)
        if result.accepted == 0:
            assert torch.equal(weights(net), before)
            assert same(state(stepper), kept)
            assert stepper.taken == taken
        else:
            assert float(net().detach()) < here
            assert stepper.taken == taken + 1
        seen.add(result.accepted)
    assert {0, 1} <= seen


@pytest.mark.parametrize("update", [SGD(0.9, 0.01), SGD(0.0), Adam(weight_decay=0.01)], ids=repr)
def test_conserve_steps_back_where_that_is_lower(update):
    """An estimate with the wrong sign: theta + step is taken, and the state is that of the opposite step."""

    def right(problem: Problem, s: Any) -> Estimate:
        return spsa(problem, s, 1e-3, 2)

    def wrong(problem: Problem, s: Any) -> Estimate:
        e = right(problem, s)
        return replace(e, coefficients=tuple(-c for c in e.coefficients))

    no_decay = replace(update, weight_decay=0.0)
    net, stepper = make(Optimizer(wrong, identity, no_decay, conserve=True))
    ref_net, ref = make(Optimizer(right, identity, no_decay))
    result = stepper.step(seeds(0), 0.01)
    ref.step(seeds(0), 0.01)
    assert (result.accepted, result.forwards) == (-1, 5)
    torch.testing.assert_close(weights(net), weights(ref_net), rtol=0, atol=1e-7)
    assert all(torch.equal(a, state(ref)[k]) for k, a in state(stepper).items())

    net, stepper = make(Optimizer(wrong, identity, update, conserve=True))
    leaf = next(iter(stepper.problem.leaves))
    g = wrong(stepper.problem, seeds(0)).gradient(stepper.problem, leaf)
    expected, _ = update.apply(leaf.parameter, g, update.init(leaf.parameter), 0.01, 1)
    before = leaf.parameter.detach().clone()
    assert stepper.step(seeds(0), 0.01).accepted == -1
    torch.testing.assert_close(leaf.parameter.detach(), before + expected)


@pytest.mark.parametrize("name", CONSERVE)
def test_conserve_rejects_at_the_minimum(name):
    net, stepper = make(name)
    solution = torch.linalg.lstsq(torch.cat([net.x, torch.ones(32, 1)], 1), net.y).solution
    with torch.no_grad():
        net.linear.weight.copy_(solution[:4].T)
        net.linear.bias.copy_(solution[4])
        net.linear.weight.add_(1e-3)  # the estimate is not zero, yet a step of this size overshoots
    before = weights(net)
    result = stepper.step(seeds(1), 10.0)
    assert (result.accepted, result.forwards) == (0, 5)
    assert torch.equal(weights(net), before)
    assert stepper.taken == 0
    assert all(not s.any() for s in state(stepper).values())


def test_a_candidate_that_is_not_finite_is_rejected():
    net, stepper = make("zo-sgd-conserve")
    before = weights(net)
    assert stepper.step(seeds(0), 1e38).accepted == 0
    assert torch.equal(weights(net), before)


@pytest.mark.parametrize("name", NAMES)
def test_low_precision_weights_are_stepped_in_their_own_dtype(name):
    """The candidates of conserve too: what is looked at is what would be written."""
    net, stepper = make(name, eps=0.1)  # 1e-3 is lost next to a bfloat16 of 1
    net.bfloat16()
    net.x = net.x.bfloat16()
    stepper.state = {k: stepper.optimizer.update.init(p) for k, p in net.named_parameters() if p.requires_grad}
    results = [stepper.step(seeds(t), LR[name]) for t in range(10)]
    assert {p.dtype for p in net.parameters()} == {torch.bfloat16}
    assert any(r.accepted for r in results)


def test_history_averages_the_estimates_with_their_coefficients():
    """g <- (1 - a) g + a g_past, the first g as it is: against a loop over the recorded coefficients."""
    a, lr = 0.4, 1e-3
    net, stepper = make("zo-sgd", history=a, momentum=0.0)
    theta, past = torch.cat([p.detach().clone().flatten() for p in net.linear.parameters()]), None
    for t in range(4):
        (s,) = seeds(t)
        result = stepper.step([s], lr)
        g = result.coefficients[0] * Noise("rademacher").slice(s, 0, 10, 10)
        past = g if past is None else (1 - a) * g + a * past
        theta = theta - lr * past
    now = torch.cat([p.detach().flatten() for p in net.linear.parameters()])
    torch.testing.assert_close(now, theta, rtol=1e-5, atol=1e-6)


def test_clip_bounds_the_coefficient_that_the_ledger_gets():
    _, free = make("zo-sgd")
    _, bounded = make("zo-sgd", clip=0.01)
    assert abs(free.step(seeds(0), 0.0).coefficients[0]) > 0.01
    assert abs(bounded.step(seeds(0), 0.0).coefficients[0]) == pytest.approx(0.01)
