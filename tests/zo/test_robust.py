"""What must not move a weight: nothing to see, nothing to say, no number, no learning rate; and no drift."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from toys import CONSERVE, NAMES, Regression, bits, given, make, problem_of, same, seeds, state, suited_lr, weights

from zfscale.zo.direct import identity
from zfscale.zo.step import Algorithm, Stepper, StepResult
from zfscale.zo.update import SGD

FORMATS = [torch.float32, torch.bfloat16, torch.float16]
BAD = [math.nan, math.inf]


@pytest.mark.parametrize(
    ("dtype", "momentum"),
    [(torch.float32, 0.0), (torch.float32, 0.9), (torch.bfloat16, 0.9), (torch.float16, 0.0)],
)
def test_ten_thousand_steps_of_nothing_leave_every_bit(dtype, momentum):
    net = Regression().to(dtype)
    _, stepper = make(Algorithm(lambda p, s: given(0.0), identity, SGD(momentum)), net=net)
    directions = stepper.problem.directions
    directions.uniform = functools.cache(directions.uniform)  # most seeds are the same here
    before = bits(weights(net))
    nothing = given(0.0)
    for t in range(10_000):
        stepper.commit(nothing if t % 100 else given(0.0, t=t), 0.1, -1 if t % 3 == 0 else 1, t)
    assert stepper.taken == 10_000
    assert torch.equal(bits(weights(net)), before)


@pytest.mark.parametrize("dtype", FORMATS)
def test_perturbed_forwards_leave_every_bit(dtype):
    net = Regression().to(dtype)
    problem = problem_of(net, "gaussian")
    before = bits(weights(net))
    losses = {problem.loss_along(t, scale) for t in range(500) for scale in (0.3, -0.3)}
    assert torch.equal(bits(weights(net)), before)
    assert len(losses) > 700  # they did look elsewhere
    assert math.isfinite(problem.loss_here())


def after_a_good_step(
    name: str, change: Callable[[torch.Tensor, int], torch.Tensor], **options: Any
) -> tuple[Regression, Stepper, Callable[..., StepResult]]:
    """A stepper one step in, whose n-th forward from then on has its loss changed."""
    net, stepper = make(name, **options)
    q = options.get("queries", 1)
    assert stepper.step(seeds(0, q), 1e-5, 0).accepted == 1
    loss, count = stepper.problem.oracle.loss, iter(range(100))
    stepper.problem.oracle.loss = lambda: change(loss(), next(count))
    return net, stepper, stepper.step


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("options", [{}, {"clip": 1.0}, {"sign": "projected"}, {"history": 0.5}], ids=str)
@pytest.mark.parametrize("name", ["zo-sgd", "zo-sgd-sign", "zo-adam-conserve"])
def test_a_loss_that_is_no_number_moves_nothing(name, options, sides, bad):
    """Whichever of the estimate's two forwards it comes from."""
    for which in (0, 1):
        change = lambda v, i, which=which: v * bad if i == which else v  # noqa: E731
        net, stepper, step = after_a_good_step(name, change, sides=sides, **options)
        before, kept, taken = bits(weights(net)), state(stepper), stepper.taken
        result = step(seeds(1), suited_lr(name), 1)
        assert result.accepted == 0
        assert torch.equal(bits(weights(net)), before)
        assert same(state(stepper), kept)
        assert stepper.taken == taken == 1


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("options", [{}, {"clip": 1.0}, {"sign": "projected"}], ids=str)
@pytest.mark.parametrize("name", ["forward-grad", "forward-grad-sign", "forward-grad-adam-conserve"])
def test_a_derivative_that_is_no_number_moves_nothing(name, options, bad):
    """The loss is a number, its derivative is not."""

    class Kink(torch.autograd.Function):
        @staticmethod
        def forward(x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def setup_context(ctx, inputs, output) -> None:
            pass

        @staticmethod
        def jvp(ctx, t: torch.Tensor) -> torch.Tensor:
            return torch.full_like(t, bad)

    net, stepper, step = after_a_good_step(name, lambda v, i: Kink.apply(v), **options)
    before, kept = bits(weights(net)), state(stepper)
    assert step(seeds(1), suited_lr(name), 1).accepted == 0
    assert torch.equal(bits(weights(net)), before)
    assert same(state(stepper), kept)
    assert stepper.taken == 1


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("options", [{}, {"sign": "projected"}, {"history": 0.5, "clip": 1.0}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_constant_loss_moves_nothing(name, options, sides):
    """Adam's 0 / 0 among it."""
    net, stepper = make(name, sides=sides, queries=2, **options)
    loss = stepper.problem.oracle.loss
    stepper.problem.oracle.loss = lambda: loss() * 0 + 3
    before = weights(net)
    for t in range(3):
        result = stepper.step(seeds(t, 2), suited_lr(name), t)
        assert result.coefficients == (0, 0)
        assert result.loss == 3
        assert result.accepted == (0 if name in CONSERVE else 1)
    assert torch.equal(weights(net), before)
    assert all(not s.any() for s in state(stepper).values())  # a NaN is not 0


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_a_zero_learning_rate_keeps_the_weights_bit_for_bit(name, dtype):
    net, stepper = make(name, net=Regression().to(dtype), queries=2, weight_decay=0.1, eps=0.1)
    before = bits(weights(net))
    for t in range(3):
        stepper.step(seeds(t, 2), 0.0, t)
    assert torch.equal(bits(weights(net)), before)


def test_a_candidate_that_is_not_finite_is_rejected():
    net, stepper = make("zo-sgd-conserve")
    before = weights(net)
    assert stepper.step(seeds(0), 1e38, 0).accepted == 0
    assert torch.equal(weights(net), before)


def test_theta_that_is_no_number_is_not_taken_for_a_minimum():
    """L(theta), which conserve compares with, where the two sides are numbers and it is not."""
    net, _, step = after_a_good_step("zo-sgd-conserve", lambda v, i: v * math.nan if i == 2 else v)
    before = weights(net)
    assert step(seeds(1), 0.01, 1).accepted == 0
    assert torch.equal(weights(net), before)


def test_a_step_does_not_depend_on_what_was_looked_at_before():
    """Two steppers, one of which has had a failed step in between."""
    nets = []
    for fails in (False, True):
        net, stepper = make("zo-adam", history=0.3)
        stepper.step(seeds(0), 0.05, 0)
        if fails:
            loss = stepper.problem.oracle.loss
            stepper.problem.oracle.loss = lambda loss=loss: loss() * math.nan
            assert stepper.step(seeds(1), 0.05, 1).accepted == 0
            stepper.problem.oracle.loss = loss
        stepper.step(seeds(2), 0.05, 2)
        nets.append(weights(net))
    assert torch.equal(nets[0], nets[1])


def test_a_stepper_moves_the_parameters_of_its_module():
    net = Regression()
    stepper = Stepper(Algorithm(lambda p, s: given(1.0), identity, SGD(0.0)), problem_of(net))
    before = weights(net)
    z = stepper.problem.directions.slice(seeds(0)[0], 0, 10)
    stepper.commit(given(1.0), 0.5, 1, 0)
    torch.testing.assert_close(weights(net), before - 0.5 * z)
    assert float(net.frozen) == 1
