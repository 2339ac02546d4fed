"""One small test for each mistake that other implementations make here, in the order in which we keep the list."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from toys import (
    CONSERVE,
    NAMES,
    Regression,
    bits,
    dense_of,
    given,
    make,
    optimizer_of,
    problem_of,
    same,
    seeds,
    state,
    suited_lr,
    weights,
)

from zfscale.zo.direct import identity
from zfscale.zo.directions import dense
from zfscale.zo.directions.sparse import Sparse
from zfscale.zo.estimate import forward_gradient, spsa
from zfscale.zo.step import Algorithm, Stepper
from zfscale.zo.update import SGD


def z_of(seed: int, kind: str = "rademacher") -> torch.Tensor:
    return dense_of(kind, 10).slice(seed, 0, 10)


def watch(net: Regression) -> list[torch.Tensor]:
    """The weights that each forward from now on sees."""
    seen: list[torch.Tensor] = []
    net.linear.register_forward_pre_hook(lambda m, _: seen.append(torch.cat([m.weight.flatten(), m.bias]).detach()))
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_a_learning_rate_schedule_acts(name):
    """infty: the wrapped optimizer keeps a rate of its own."""
    moved = []
    for lr in (1e-4, 2e-4):
        net, stepper = make(name)
        before = weights(net)
        stepper.step(seeds(0), 0.0, 0)
        stepper.step(seeds(0), lr, 0)
        moved.append(weights(net) - before)
    assert moved[0].any()
    torch.testing.assert_close(moved[1], 2 * moved[0], rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("name", CONSERVE)
def test_conserve_looks_at_its_candidates_from_the_same_place(name):
    """infty: +1, -2, +1 steps through an optimizer with a state, which do not cancel; here decay is on as well."""
    net, stepper = make(name, weight_decay=0.1)
    stepper.step(seeds(0), 1e-4, 0)
    looked = watch(net)
    before = weights(net)
    assert stepper.step(seeds(1), 100.0, 1).accepted == 0
    there, back = looked[-2] - before, looked[-1] - before
    assert float(there.abs().max()) > 10
    torch.testing.assert_close(there, -back, rtol=1e-5, atol=1e-4)
    assert torch.equal(weights(net), before)


@pytest.mark.parametrize("name", CONSERVE)
def test_moments_do_not_advance_on_rejection(name):
    """infty: they do, three times."""
    _, stepper = make(name, weight_decay=0.1)
    stepper.step(seeds(0), 1e-4, 0)
    before = state(stepper)
    assert stepper.step(seeds(1), 100.0, 1).accepted == 0
    assert same(state(stepper), before)
    assert stepper.taken == 1


@pytest.mark.parametrize(("sides", "forwards"), [(2, 4), (1, 3)])
def test_conserve_costs_no_forward_twice(sides, forwards):
    """infty: 5."""
    net, stepper = make("zo-sgd-conserve", sides=sides)
    result = stepper.step(seeds(0), 1e-4, 0)
    assert (result.accepted, result.forwards, net.forwards) == (1, forwards, forwards)


def test_sign_is_of_every_element_of_g():
    """infty: sign(c) z, which for normal z is no sign at all."""
    net, stepper = make("zo-sgd-sign", "gaussian", queries=3, momentum=0.0)
    before = weights(net)
    result = stepper.step(seeds(0, 3), 0.5, 0)
    g = sum(c * z_of(s, "gaussian") for s, c in zip(result.seeds, result.coefficients, strict=True))
    torch.testing.assert_close(before - weights(net), 0.5 * g.sign())


def test_history_averages_estimates_and_not_raw_z():
    """infty: an average of z, times the last coefficient; coefficients that differ tell the two apart."""
    a = 0.3
    net, stepper = make("zo-sgd", momentum=0.0, history=a)
    before = weights(net)
    z = [z_of(seeds(t)[0]) for t in (0, 1)]
    for t, c in enumerate((3.0, -0.1)):
        stepper.commit(given(c, t=t), 1.0, 1, t)
    second = (1 - a) * -0.1 * z[1] + a * 3.0 * z[0]
    torch.testing.assert_close(before - weights(net), 3.0 * z[0] + second)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_sparsity_zeroes_the_share_it_says(share):
    """infty: 69 % for 0.5 and 82 % for 0.9."""
    total = 20_000
    z = dense_of("gaussian", total, mask=Sparse(1, share, total).mask).slice(2, 0, total)
    assert int((z == 0).sum()) == round(share * total)


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("forward")])
def test_forward_grad_hears_of_learning_rate_and_weight_decay(name):
    """infty: neither, nor the schedule."""
    moved = {}
    for lr, decay in ((1e-4, 0.0), (2e-4, 0.0), (1e-4, 50.0)):
        net, stepper = make(name, weight_decay=decay)
        before = weights(net)
        stepper.step(seeds(0), lr, 0)
        moved[lr, decay] = weights(net) - before
    torch.testing.assert_close(moved[2e-4, 0.0], 2 * moved[1e-4, 0.0], rtol=1e-3, atol=1e-6)
    assert not torch.allclose(moved[1e-4, 50.0], moved[1e-4, 0.0], atol=1e-5)


@pytest.mark.parametrize("q", [1, 4])
def test_one_sided_queries_share_the_loss_at_theta(q):
    """infty: 2q forwards."""
    net, stepper = make("zo-sgd", sides=1)
    assert stepper.step(seeds(0, q), 1e-3, 0).forwards == net.forwards == q + 1


@pytest.mark.parametrize("name", NAMES)
def test_global_generators_are_untouched(name):
    """infty: reseeded at every perturbation, so the order of the data depends on the optimizer."""
    _, stepper = make(name, "gaussian", net=Regression().bfloat16(), eps=0.1)
    before = (torch.random.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"], random.getstate())
    stepper.step(seeds(0), 0.01, 0)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], before[1])
    assert random.getstate() == before[2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_perturbing_leaves_no_drift(dtype):
    """MeZO: in place, + eps z, - 2 eps z, + eps z, whose rounding stays."""
    net = Regression().to(dtype)
    problem = problem_of(net, "gaussian")
    before = bits(weights(net))
    for t in range(100):
        spsa(problem, seeds(t), 0.01, 2)
    forward_gradient(problem, seeds(0))
    assert torch.equal(bits(weights(net)), before)


def test_the_estimate_does_not_depend_on_the_one_before():
    """MeZO: the drift of a step is in the next one's losses."""
    net = Regression().half()
    problem = problem_of(net, "gaussian")
    first = [spsa(problem, seeds(t), 0.01, 2) for t in range(20)]
    assert [spsa(problem, seeds(t), 0.01, 2) for t in reversed(range(20))] == first[::-1]


def test_a_step_generates_its_noise_once(monkeypatch):
    """MeZO: four passes a step."""
    calls: list[Any] = []

    def count(key: Any, *rest: Any) -> torch.Tensor:
        calls.append(key)
        return dense.rademacher(key, *rest)

    monkeypatch.setitem(dense.NOISES, "rademacher", count)
    net = Regression()
    problem = problem_of(net, queries=3)
    stepper = Stepper(Algorithm(lambda p, s: spsa(p, s, 1e-3, 2), identity, SGD(), conserve=True), problem)
    for t in range(4):
        stepper.step(seeds(t, 3), 1e-4, t)
    assert len(calls) == len(set(calls)) == 4 * 3


@pytest.mark.parametrize("name", ["zo-sgd", "zo-adam-sign", "forward-grad"])
def test_what_is_perturbed_is_what_is_updated(name):
    """ZO-Bench: a masked perturbation and an update without the mask."""
    net = Regression()
    mask = Sparse(1, 0.4, 10).mask
    kept = mask(0, 10).bool()
    problem = problem_of(net, "gaussian", mask=mask)
    looked = watch(net)
    before = weights(net)
    problem.loss_along(1, 0.1)
    (perturbed,) = looked
    assert torch.equal(perturbed != before, kept)
    Stepper(optimizer_of(name), problem).step(seeds(0), suited_lr(name), 0)
    assert torch.equal(weights(net) != before, kept)
    assert int(kept.sum()) == 6


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_queries_and_leaves_each_have_noise_of_their_own(kind):
    """ZO-Bench's module-wise mode: one seed for all of them."""
    assert len({s for t in range(10) for s in seeds(t, 4)}) == 40
    net = torch.nn.Sequential(torch.nn.Linear(50, 50, bias=False), torch.nn.Linear(50, 50, bias=False))
    problem = problem_of(net, kind, queries=4)
    zs = [problem.directions.slice(s, leaf.start, leaf.stop) for s in seeds(0, 4) for leaf in problem.leaves]
    correlation = torch.stack(zs) @ torch.stack(zs).T / 2500
    assert float((correlation - torch.diag(correlation.diag())).abs().max()) < 4.5 / 50
