"""Optimizers on an oracle that is a formula in NumPy, against Algorithm 1 written out in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from philox_reference import ELEMENT
from toys import KINDS, NAMES, optimizer_of, seeds, suited_lr

from zfscale.errors import ZfscaleError
from zfscale.zo.catalogue import OPTIMIZERS
from zfscale.zo.leaves import Leaves
from zfscale.zo.oracle import Oracle, Point
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper, StepResult

D, STEPS, EPS = 7, 25, 1e-3
Array = np.ndarray
RNG = np.random.default_rng(0)
A, B, START = RNG.normal(size=(D, D)) / 3, RNG.normal(size=D), RNG.normal(size=D)
ZEROTH = [name for name in NAMES if OPTIMIZERS[name].derivative == "none"]


def loss(theta: Array) -> float:
    return float(np.square(A @ theta - B).sum() / 2)


class Formula(Oracle):
    """No module, no gradient: values of a quadratic, and how many were asked for in each call."""

    def __init__(self) -> None:
        self.leaves = Leaves.of({"matrix": (2, 3), "scalar": ()}, torch.from_numpy(START.copy()))
        self.calls: list[int] = []

    def losses(self, points: Sequence[Point | None]) -> list[float]:
        self.calls.append(len(points))
        return [loss(self._at(point)) for point in points]

    def _at(self, point: Point | None) -> Array:
        if point is None:
            return self.leaves.flat.numpy()
        out = torch.empty(D, dtype=torch.float64)
        point(0, D, out)
        return out.numpy()


def stepper_of(name: str, noise: str = "rademacher", **options: Any) -> tuple[Formula, Stepper]:
    oracle = Formula()
    directions = KINDS[noise](oracle.leaves, queries=options.get("queries", 1))
    return oracle, Stepper(optimizer_of(name, noise=noise, eps=EPS, **options), Problem(oracle, directions))


def rule(name: str) -> Callable[[Array, dict[str, Array], float, int], tuple[Array, dict[str, Array]]]:
    """Momentum 0.9, or Adam with 0.9 and 0.999, on zeros at first; AdaMM keeps the largest second moment."""

    def sgd(h: Array, s: dict[str, Array], lr: float, t: int) -> tuple[Array, dict[str, Array]]:
        v = 0.9 * s.get("v", 0) + h
        return lr * v, {"v": v}

    def adam(h: Array, s: dict[str, Array], lr: float, t: int) -> tuple[Array, dict[str, Array]]:
        m, v = 0.9 * s.get("m", 0) + 0.1 * h, 0.999 * s.get("v", 0) + 0.001 * h * h
        top = np.maximum(s.get("top", 0), v) if "adamm" in name else v
        step = lr * (m / (1 - 0.9**t)) / (np.sqrt(top / (1 - 0.999**t)) + 1e-8)
        return step, {"m": m, "v": v, "top": top}

    return adam if "adam" in name else sgd


def reference(name: str, noise: str, q: int, sides: int, lr: float) -> Iterator[tuple[Array, int, int]]:
    """(theta, accepted, forwards) after each step."""
    state: dict[str, Array] = {}
    theta, t, update = START.copy(), 0, rule(name)
    element, _ = ELEMENT[noise]
    for number in range(STEPS):
        g, forwards, here = np.zeros(D), 2 * q, None
        if sides == 1:
            here, forwards = loss(theta), q + 1
        for seed in seeds(number, q):
            z = np.array([element(seed, i) for i in range(D)])
            up = loss(theta + EPS * z)
            c = (up - loss(theta - EPS * z)) / (2 * EPS) if here is None else (up - here) / EPS
            g += c * z / q
        step, after = update(np.sign(g) if name.endswith("sign") else g, state, lr, t + 1)
        accepted = 1
        if name.endswith("conserve"):
            forwards += here is None
            here = loss(theta)
            accepted = 1 if loss(theta - step) < here else -1 if loss(theta + step) < here else 0
            forwards += 1 if accepted == 1 else 2
        if accepted:
            t, theta, state = t + 1, theta - accepted * step, after
            state |= {k: accepted * v for k, v in state.items() if k == ("m" if "m" in state else "v")}
        yield theta, accepted, int(forwards)


@pytest.mark.parametrize(("noise", "q", "sides"), [("rademacher", 1, 2), ("gaussian", 3, 1)])
@pytest.mark.parametrize("name", ZEROTH)
def test_a_formula_is_optimised_as_algorithm_1_says(name, noise, q, sides):
    lr = suited_lr(name) * (10 if name.endswith("conserve") else 1)
    oracle, stepper = stepper_of(name, noise, queries=q, sides=sides)
    taken = set()
    for number, (theta, accepted, forwards) in enumerate(reference(name, noise, q, sides, lr)):
        result = stepper.step(seeds(number, q), lr, number)
        np.testing.assert_allclose(oracle.leaves.flat.numpy(), theta, rtol=0, atol=2e-4)
        assert (result.accepted, result.forwards) == (accepted, forwards)
        taken.add(accepted)
    assert sum(oracle.calls) >= STEPS * 2
    assert loss(oracle.leaves.flat.numpy()) < 0.9 * loss(START)
    assert name.endswith("conserve") or taken == {1}


@pytest.mark.parametrize(("sides", "calls"), [(2, [6]), (1, [4])])
def test_an_estimate_asks_for_all_its_losses_at_once(sides, calls):
    oracle, stepper = stepper_of("zo-sgd", queries=3, sides=sides)
    stepper.step(seeds(0, 3), 0.01, 0)
    assert oracle.calls == calls


def test_a_forward_gradient_needs_an_oracle_with_slopes():
    _, stepper = stepper_of("forward-grad")
    with pytest.raises(ZfscaleError, match="forward derivatives, which Formula has not"):
        stepper.step(seeds(0), 0.01, 0)


def test_an_oracle_with_slopes_needs_no_other_answer():
    """Coefficients of the gradient's formula; the weights go where SGD takes them."""

    class Sloped(Formula):
        def slopes(self, tangents: Sequence[Any]) -> list[tuple[float, float]]:
            theta = self.leaves.flat.numpy()
            return [(loss(theta), float(A.T @ (A @ theta - B) @ z(0, D).numpy())) for z in tangents]

    oracle = Sloped()
    problem = Problem(oracle, KINDS["gaussian"](oracle.leaves, queries=2))
    stepper, theta = Stepper(optimizer_of("forward-grad", momentum=0.0), problem), START.copy()
    for number in range(5):
        result: StepResult = stepper.step(seeds(number, 2), 0.01, number)
        z = [np.array([ELEMENT["gaussian"][0](s, i) for i in range(D)]) for s in seeds(number, 2)]
        slope = A.T @ (A @ theta - B)
        assert result.loss == pytest.approx(loss(theta), abs=1e-5)
        theta = theta - 0.01 * sum((slope @ one) * one for one in z) / 2
        np.testing.assert_allclose(oracle.leaves.flat.numpy(), theta, rtol=0, atol=1e-5)
    assert oracle.calls == []


def test_leaves_divide_all_of_their_vector():
    leaves = Leaves.of({"a": (2, 3), "b": (), "c": (0,)}, torch.arange(7.0))
    assert [(leaf.name, leaf.start, leaf.stop) for leaf in leaves] == [("a", 0, 6), ("b", 6, 7), ("c", 7, 7)]
    assert (leaves.total, leaves.finite, leaves.held) == (7, True, [(0, 7)])
    leaves.flat[3] = torch.nan
    assert not leaves.finite
    with pytest.raises(AssertionError, match="elements of the shapes"):
        Leaves.of({"a": (2, 3)}, torch.zeros(7))
