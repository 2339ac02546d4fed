"""Algorithm 1: one table test over every forward-only optimizer, then what its options promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from toys import NAMES, Regression, dense_of, given, make, problem_of, same, seeds, state, suited_lr, weights

from zfscale.spec import OptimizerSpec
from zfscale.zo.direct import identity, sign
from zfscale.zo.estimate import spsa
from zfscale.zo.step import Algorithm, StepResult, make_algorithm
from zfscale.zo.update import SGD, Adam


def gradient(result: StepResult, kind: str = "rademacher") -> torch.Tensor:
    """Mean of c_i z_i from the symbolic result alone."""
    z = [dense_of(kind, 10).slice(s, 0, 10) for s in result.seeds]
    return torch.stack([c * one for c, one in zip(result.coefficients, z, strict=True)]).sum(0) / len(z)


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_lowers_a_convex_loss_and_repeats_bit_for_bit(name, sides):
    runs = []
    for _ in range(2):
        net, stepper = make(name, sides=sides)
        before = float(net().detach())
        net.forwards = 0
        results = [stepper.step(seeds(t), suited_lr(name), t) for t in range(60)]
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
def test_a_name_says_what_it_is_made_of(name):
    o = make_algorithm(OptimizerSpec(name=name, lr=0.1, history=0.3, clip=2.0))
    assert (o.history, o.clip, o.projected) == (0.3, 2.0, False)
    assert o.conserve == name.endswith("-conserve")
    assert o.direct is (sign if name.endswith("-sign") else identity)
    assert isinstance(o.update, Adam if "adam" in name else SGD)
    assert getattr(o.update, "amsgrad", False) == ("adamm" in name)
    projected = make_algorithm(OptimizerSpec(name=name, lr=0.1, sign="projected"))
    assert projected.projected == name.endswith("-sign")
    assert projected.direct is identity


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("q", [1, 3])
def test_one_step_is_the_estimate_through_torch_optim(name, q):
    """Its weights follow from the symbolic result alone: g = mean c_i z_i, its sign, torch.optim's rule."""
    net, stepper = make(name, weight_decay=0.01, queries=q)
    start, lr = weights(net), suited_lr(name)
    result = stepper.step(seeds(0, q), lr, 0)
    assert result.seeds == tuple(seeds(0, q))
    g = gradient(result)
    theta = nn.Parameter(start.clone())
    rule = torch.optim.Adam if "adam" in name else torch.optim.SGD
    optimizer = rule([theta], lr, weight_decay=0.01)
    theta.grad = torch.sign(g) if name.endswith("sign") else g
    optimizer.step()
    expected = start + result.accepted * (theta.detach() - start)
    torch.testing.assert_close(weights(net), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("forward-grad-adam", lambda p: torch.optim.Adam(p, 0.05, weight_decay=0.01)),
        ("forward-grad-adamm", lambda p: torch.optim.Adam(p, 0.05, weight_decay=0.01, amsgrad=True)),
        ("forward-grad", lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.01)),
    ],
)
def test_forward_gradients_through_torch_optim(name, reference, kind):
    """A trajectory: c from autograd's gradient at the same weights, h = c z."""
    net, stepper = make(name, kind, weight_decay=0.01)
    other = Regression()
    leaves = [p for p in other.parameters() if p.requires_grad]
    optimizer = reference(leaves)
    for t in range(20):
        result = stepper.step(seeds(t), 0.05, t)
        grads = torch.cat([g.flatten() for g in torch.autograd.grad(other(), leaves)])
        z = dense_of(kind, 10).slice(seeds(t)[0], 0, 10)
        assert result.coefficients[0] == pytest.approx(float(grads @ z), rel=1e-4, abs=1e-4)
        h = float(grads @ z) * z
        for p, part in zip(leaves, h.split([p.numel() for p in leaves]), strict=True):
            p.grad = part.view(p.shape)
        optimizer.step()
        torch.testing.assert_close(weights(net), weights(other), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("q", [1, 2])
def test_sign_is_element_wise(q):
    net, stepper = make(Algorithm(lambda p, s: spsa(p, s, 1e-3, 2), sign, SGD(0.0)))
    before = weights(net)
    result = stepper.step(seeds(3, q), 0.25, 3)
    torch.testing.assert_close(before - weights(net), 0.25 * torch.sign(gradient(result)))


def test_projected_sign_is_the_mean_of_the_signs_of_the_coefficients():
    moved = {}
    for which in ("projected", "elementwise"):
        net, stepper = make("zo-sgd-sign", "gaussian", queries=3, momentum=0.0, sign=which)
        before = weights(net)
        result = stepper.step(seeds(0, 3), 0.25, 0)
        moved[which] = (before - weights(net)) / 0.25
        assert (set(result.coefficients) <= {-1.0, 1.0}) == (which == "projected")
        if which == "projected":
            torch.testing.assert_close(moved[which], gradient(result, "gaussian"), rtol=1e-4, atol=1e-5)
            signs = result.coefficients
        else:
            assert tuple(float(torch.tensor(c).sign()) for c in result.coefficients) == signs
            torch.testing.assert_close(moved[which].abs(), torch.ones(10), rtol=1e-4, atol=0)
    assert not torch.allclose(moved["projected"], moved["elementwise"], atol=0.1)


def test_projected_and_element_wise_sign_agree_for_one_query_of_rademacher_noise():
    a, b = (make("zo-adam-sign", sign=s) for s in ("projected", "elementwise"))
    for t in range(5):
        a[1].step(seeds(t), 0.05, t)
        b[1].step(seeds(t), 0.05, t)
        assert torch.equal(weights(a[0]), weights(b[0]))


def test_directions():
    g = torch.tensor([3.0, -0.5, 0.0])
    assert torch.equal(identity(g), g)
    assert torch.equal(sign(g), torch.tensor([1.0, -1.0, 0.0]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_low_precision_weights_are_stepped_in_their_own_dtype(name, dtype):
    net, stepper = make(name, net=Regression().to(dtype), eps=0.1)  # 1e-3 is lost next to a bfloat16 of 1
    before = float(net().detach())
    results = [stepper.step(seeds(t), suited_lr(name), t) for t in range(80)]
    assert {p.dtype for p in net.parameters()} == {dtype}
    assert {s.dtype for s in state(stepper).values()} <= {torch.float32}
    assert any(r.accepted for r in results)
    assert float(net().detach()) < 0.6 * before


def test_what_conserve_looks_at_in_low_precision_is_what_is_written():
    net, stepper = make("zo-sgd-conserve", net=Regression().bfloat16(), eps=0.1)
    taken = 0
    for t in range(40):
        before = float(net().detach())
        if stepper.step(seeds(t), 0.02, t).accepted:
            assert float(net().detach()) < before
            taken += 1
    assert taken > 5


def test_steps_smaller_than_the_spacing_of_bfloat16_add_up():
    """1 + 2^-10 is 1 in bfloat16; stochastic rounding keeps 1000 such steps on average."""
    net = nn.Linear(100, 40, bias=False).bfloat16()
    net.weight.data.fill_(1.0)
    _, stepper = make(Algorithm(lambda p, s: given(1.0), identity, SGD(0.0)), net=net)
    z = dense_of("rademacher", 4000).slice(given(1.0).seeds[0], 0, 4000)
    for t in range(100):
        # The same z with a new seed in front, of coefficient 0: the first seed's draws decide on the rounding.
        estimate = replace(given(0.0, 0.0, t=t), coefficients=(0.0, 2.0))
        estimate = replace(estimate, seeds=(estimate.seeds[0], given(1.0).seeds[0]))
        stepper.commit(estimate, 2**-10, 1, t)
    theta = stepper.theta.float()
    assert float((theta * z).mean()) == pytest.approx(float((z - 100 * 2**-10).mean()), abs=0.01)


def test_history_averages_the_estimates_with_their_coefficients():
    """g <- (1 - a) g + a g_past, the first g as it is: against a loop over the recorded coefficients."""
    a, lr = 0.4, 1e-3
    net, stepper = make("zo-sgd", history=a, momentum=0.0)
    theta, past = weights(net), None
    for t in range(4):
        g = gradient(stepper.step(seeds(t), lr, t))
        past = g if past is None else (1 - a) * g + a * past
        theta = theta - lr * past
    torch.testing.assert_close(weights(net), theta, rtol=1e-5, atol=1e-6)


def test_clip_bounds_the_coefficient_that_the_ledger_gets():
    _, free = make("zo-sgd")
    _, bounded = make("zo-sgd", clip=0.01)
    assert abs(free.step(seeds(0), 0.0, 0).coefficients[0]) > 0.01
    assert abs(bounded.step(seeds(0), 0.0, 0).coefficients[0]) == 0.01


@pytest.mark.parametrize("options", [{}, {"clip": 0.5}, {"sign": "projected"}, {"history": 0.4}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_taken_again_from_its_result(name, options):
    """What the ledger has, seeds, coefficients and accepted, gives the same bits without a forward."""
    net, stepper = make(name, queries=2, **options)
    other, again = make(name, queries=2, **options)
    for t in range(12):
        result = stepper.step(seeds(t, 2), 3 * suited_lr(name), t)
        estimate = replace(given(*result.coefficients), seeds=result.seeds)
        again.commit(estimate, 3 * suited_lr(name), result.accepted, t)
    assert other.forwards == 0
    assert torch.equal(weights(net), weights(other))
    assert same(state(stepper), state(again))
    assert stepper.taken == again.taken


def test_a_problem_is_its_leaves_loss():
    net = Regression()
    p = problem_of(net)
    assert p.loss_here() == float(net().detach())
    assert p.loss_at(lambda a, b, out: out.copy_(torch.zeros(b - a))) == pytest.approx(float(net.y.square().mean()))
