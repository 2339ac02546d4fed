"""Updates by whole leaves beside those by elements: against NumPy, in conserve, replayed, and turned round."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from own import NU, Lazy, Orthogonal
from torch import nn
from toys import Regression, Wide, bits, given, problem_of, seeds, weights

from zfscale.engine import module_oracle
from zfscale.engine.module_leaves import trainable
from zfscale.zo.direct import identity, sign
from zfscale.zo.directions import base
from zfscale.zo.directions.base import GROUP
from zfscale.zo.directions.dense import gaussian, rademacher
from zfscale.zo.estimate import spsa
from zfscale.zo.philox import derive, words_of
from zfscale.zo.step import Algorithm, Stepper, StepResult
from zfscale.zo.update import SGD, Adam, AdaMM

LR = 0.02


def algorithm(**options: Any) -> Algorithm:
    return Algorithm(lambda p, s: spsa(p, s, 1e-2, 2), identity, Orthogonal(), **options)


def run(net: nn.Module, steps: int, lr: float = LR, **options: Any) -> tuple[Stepper, list[StepResult]]:
    stepper = Stepper(algorithm(**options), problem_of(net, "gaussian", queries=2))
    return stepper, [stepper.step(seeds(t, 2), lr, t) for t in range(steps)]


def states(stepper: Stepper) -> list[tuple[torch.Tensor, int]]:
    whole: Any = stepper.states
    return [(state.mean, state.steps) for state in whole.by_leaf.values()]


def alike(a: Stepper, b: Stepper) -> bool:
    pairs = list(zip(states(a), states(b), strict=True))
    past = a.past is b.past or (a.past is not None and b.past is not None and torch.equal(a.past, b.past))
    return past and all(torch.equal(m, n) and s == t for (m, s), (n, t) in pairs)


@pytest.mark.parametrize("history", [0.0, 0.4])
@pytest.mark.parametrize("direct", [identity, sign])
def test_a_matrix_wise_update_is_that_of_numpy(direct, history):
    net = nn.ParameterDict(
        {"a": torch.randn(3, 4), "b": torch.randn(5), "c": torch.randn(2, 2, 3), "d": torch.tensor(1.0)}
    )
    problem = problem_of(net, "gaussian", queries=2)
    stepper = Stepper(Algorithm(partial(spsa, eps=1e-3, sides=2), direct, Orthogonal(0.8), history=history), problem)
    theta, past = {name: p.detach().numpy().copy() for name, p in net.items()}, None
    means = {name: np.zeros_like(value) for name, value in theta.items()}
    for t in range(6):
        c, accepted = (0.7 + t, -1.3), -1 if t == 3 else 1
        z = [problem.directions.slice(s, 0, problem.leaves.total).numpy() for s in seeds(t, 2)]
        g = (c[0] * z[0] + c[1] * z[1]) / 2
        g = g if past is None else (1 - history) * g + history * past
        past, at = accepted * g, 0
        for name, value in theta.items():
            h = g[at : at + value.size].reshape(value.shape)
            at += value.size
            means[name] = 0.8 * means[name] + (np.sign(h) if direct is sign else h)
            matrix = means[name].reshape(len(value), -1) if value.ndim > 1 else means[name].reshape(1, -1)
            u, _, v = np.linalg.svd(matrix, full_matrices=False)  # of one row, that row over its norm
            theta[name] = value - accepted * LR * (u @ v).reshape(value.shape)
            means[name] = accepted * means[name]
        stepper.commit(given(*c, t=t), LR, accepted, t)
        for name, value in theta.items():
            np.testing.assert_allclose(net[name].detach().numpy(), value, rtol=0, atol=2e-5)
    assert [s for _, s in states(stepper)] == [6] * 4


@pytest.mark.parametrize("conserve", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_learns_and_is_replayed_bit_for_bit(dtype, conserve):
    net, options = Regression().to(dtype), {"conserve": conserve, "history": 0.3}
    before = float(net().detach())
    stepper, results = run(net, 60, **options)
    assert float(net().detach()) < 0.6 * before
    again = Stepper(algorithm(**options), problem_of(twin := Regression().to(dtype), "gaussian", queries=2))
    for t, result in enumerate(results):
        again.commit(replace(given(*result.coefficients), seeds=result.seeds), LR, result.accepted, t)
    assert torch.equal(bits(weights(net)), bits(weights(twin)))
    assert alike(stepper, again)
    assert twin.forwards == 0


def test_conserve_writes_the_point_that_it_looked_at_and_keeps_nothing_of_the_others():
    net = Regression()
    stepper, seen, taken = Stepper(algorithm(conserve=True), problem_of(net, "gaussian")), [], set()
    net.linear.register_forward_pre_hook(lambda m, _: seen.append(torch.cat([m.weight.flatten(), m.bias]).detach()))
    for t in range(60):
        before, kept, steps = weights(net), states(stepper), stepper.taken
        seen.clear()
        result = stepper.step(seeds(t), 0.3, t)
        taken.add(result.accepted)
        if result.accepted:
            assert torch.equal(weights(net), seen[-1])
            assert [s for _, s in states(stepper)] == [steps + 1] * 2
        else:
            assert torch.equal(weights(net), before)
            assert all(torch.equal(m, n) and s == t for (m, s), (n, t) in zip(states(stepper), kept, strict=True))
            torch.testing.assert_close(seen[-1] - before, before - seen[-2], rtol=0, atol=1e-6)
    assert taken == {-1, 0, 1}


@pytest.mark.parametrize("conserve", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_leaves_that_are_made_one_by_one_take_the_same_steps(dtype, conserve, monkeypatch):
    """The coefficients of large sets differ in their last bits, the steps from given ones do not."""
    runs = []
    for chunk in (base.CHUNK, GROUP):
        monkeypatch.setattr(base, "CHUNK", chunk)
        monkeypatch.setattr(module_oracle, "CHUNK", chunk)
        net = Wide(dtype)
        _, results = run(net, 3, lr=1e-3, conserve=conserve)
        assert any(result.accepted for result in results)
        coefficients = [c for result in results for c in result.coefficients]
        twin = Wide(dtype)
        again = Stepper(algorithm(), problem_of(twin, "gaussian", queries=2))
        for t in range(3):
            again.commit(given(0.7, -1.3, t=t), LR, 1 - t % 2 * 2, t)
        runs.append((coefficients, bits(weights(twin)), [mean for mean, _ in states(again)]))
    assert runs[1][0] == pytest.approx(runs[0][0], rel=1e-2 if dtype == torch.float32 else 0.5, abs=0.2)
    assert torch.equal(runs[0][1], runs[1][1])
    assert all(torch.equal(a, b) for a, b in zip(runs[0][2], runs[1][2], strict=True))


def test_leaves_that_are_cut_are_refused():
    stepper, _ = run(Regression(), 0)
    for held in ([(0, 4)], [(1, 10)]):
        with pytest.raises(AssertionError, match="cut"):
            stepper.commit(given(1.0), LR, 1, 0, held)


RULES = [SGD(0.0, 0.1), SGD(0.9), SGD(0.9, 0.1), Adam(), Adam(weight_decay=0.1), AdaMM(weight_decay=0.1), Orthogonal()]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_reversed_state_is_that_of_the_opposite_gradient(rule):
    """Two walks, from theta along h and from -theta along -h: one's state is the other's, turned round."""
    g = torch.Generator().manual_seed(0)
    theta = torch.randn(4, 3, generator=g)
    there, back = rule.init(theta), rule.init(-theta)
    for t in range(1, 6):
        h = torch.randn(4, 3, generator=g)
        step, there = rule.apply(theta, h, there, 0.1, t)
        other, back = rule.apply(-theta, -h, back, 0.1, t)
        torch.testing.assert_close(step, -other)
        turned = rule.reverse(there)
        assert turned is not there
        parts = [vars(s) if not isinstance(s, dict) else s for s in (turned, back)]
        assert parts[0].keys() == parts[1].keys()
        for name, value in parts[0].items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(parts[1][name])), name


def test_a_direction_hears_the_number_of_the_step():
    """In training and in replay, also where no step was taken; the same seed has another z at another step."""
    leaves = trainable(Regression())
    lazy = Lazy(leaves, seed=5)
    zs = []
    for number in range(2 * NU):
        lazy.at(number)
        zs.append(lazy.slice(7, 0, 10).clone())
        kept = rademacher(words_of(derive(5, number // NU)), 0, GROUP)[:10] > 0
        assert torch.equal(zs[-1], gaussian(words_of(7), 0, GROUP)[:10] * kept)
    assert all(torch.equal(z, zs[0]) for z in zs[:NU])
    assert not torch.equal(zs[NU], zs[0])
