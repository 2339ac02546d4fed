"""Conserve: the best of the points it looked at, and no trace of those it did not take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from toys import CONSERVE, make, same, seeds, state, suited_lr, weights

from zfscale.zo.direct import identity
from zfscale.zo.estimate import Estimate, spsa
from zfscale.zo.problem import Problem
from zfscale.zo.step import Algorithm
from zfscale.zo.update import SGD, Adam


def own_forwards(name: str, sides: int) -> int:
    return 1 if name.startswith("forward") else 2 if sides == 1 else 3  # of estimate and L(theta)


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("name", CONSERVE)
def test_always_accepting_is_the_plain_trajectory(name, sides):
    """So the state is committed once a step, and looking at a candidate leaves no trace."""
    conserve = make(name, sides=sides)
    plain = make(name.removesuffix("-conserve"), sides=sides)
    for t in range(8):
        a, b = conserve[1].step(seeds(t, 2), 1e-4, t), plain[1].step(seeds(t, 2), 1e-4, t)
        assert a.accepted == 1
        assert a.coefficients == b.coefficients
        assert a.forwards == b.forwards + (2 if sides == 2 and name.startswith("zo") else 1)
        assert torch.equal(weights(conserve[0]), weights(plain[0]))
        assert same(state(conserve[1]), state(plain[1]))
    assert conserve[1].taken == plain[1].taken == 8


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("name", CONSERVE)
def test_the_best_point_looked_at_is_taken(name, sides):
    net, stepper = make(name, sides=sides)
    seen = set()
    for t in range(60):
        before, kept, taken = weights(net), state(stepper), stepper.taken
        here = float(net().detach())
        net.forwards = 0
        result = stepper.step(seeds(t), 3 * suited_lr(name), t)  # large, so that it often overshoots
        looks = 1 if result.accepted == 1 else 2
        assert net.forwards == result.forwards == own_forwards(name, sides) + looks
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
def test_the_opposite_step_is_taken_where_that_is_lower(update):
    """An estimate with the wrong sign: theta + step is taken, and the state is that of the opposite step."""

    def right(problem: Problem, s: Any) -> Estimate:
        return spsa(problem, s, 1e-3, 2)

    def wrong(problem: Problem, s: Any) -> Estimate:
        e = right(problem, s)
        return replace(e, coefficients=tuple(-c for c in e.coefficients))

    no_decay = replace(update, weight_decay=0.0)
    net, stepper = make(Algorithm(wrong, identity, no_decay, conserve=True))
    ref_net, ref = make(Algorithm(right, identity, no_decay))
    result = stepper.step(seeds(0), 0.01, 0)
    ref.step(seeds(0), 0.01, 0)
    assert (result.accepted, result.forwards) == (-1, 5)
    torch.testing.assert_close(weights(net), weights(ref_net), rtol=0, atol=1e-7)
    assert same(state(stepper), state(ref))

    net, stepper = make(Algorithm(wrong, identity, update, conserve=True))
    before = weights(net)
    g = wrong(stepper.problem, seeds(0)).gradient(stepper.problem, 0, 10)
    expected, _ = update.apply(before, g, update.init(before), 0.01, 1)
    assert stepper.step(seeds(0), 0.01, 0).accepted == -1
    torch.testing.assert_close(weights(net), before + expected)


@pytest.mark.parametrize("name", CONSERVE)
def test_it_rejects_at_the_minimum(name):
    net, stepper = make(name)
    solution = torch.linalg.lstsq(torch.cat([net.x, torch.ones(32, 1)], 1), net.y).solution
    with torch.no_grad():
        net.linear.weight.copy_(solution[:4].T)
        net.linear.bias.copy_(solution[4])
        net.linear.weight.add_(1e-3)  # the estimate is not zero, yet a step of this size overshoots
    before = weights(net)
    result = stepper.step(seeds(1), 10.0, 1)
    assert (result.accepted, result.forwards) == (0, own_forwards(name, 2) + 2)
    assert torch.equal(weights(net), before)
    assert stepper.taken == 0
    assert all(not s.any() for s in state(stepper).values())


@pytest.mark.parametrize("losses", [(1.0, 0.5, float("inf"), 0.3, 0.3), (1.0, 0.5, 0.7, float("-inf"), float("nan"))])
def test_conserve_never_moves_on_what_is_no_number(losses):
    """Two sides, L(theta), then the candidates."""
    net, stepper = make("zo-sgd-conserve")
    before, values = weights(net), iter(losses)
    stepper.problem.oracle.loss = lambda: torch.tensor(next(values))
    assert stepper.step(seeds(0), 0.1, 0).accepted == 0
    assert torch.equal(weights(net), before)
