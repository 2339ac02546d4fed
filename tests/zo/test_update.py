"""The update rules against torch.optim, fed the same gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from zfscale.zo.update import SGD, Adam

RULES: list[tuple[Any, Any]] = [
    (SGD(momentum=m, weight_decay=wd), lambda p, m=m, wd=wd: torch.optim.SGD(p, 0.1, momentum=m, weight_decay=wd))
    for m in (0.0, 0.9)
    for wd in (0.0, 0.05)
] + [
    (
        Adam(beta1=b1, beta2=b2, weight_decay=wd),
        lambda p, b1=b1, b2=b2, wd=wd: torch.optim.Adam(p, 0.1, betas=(b1, b2), weight_decay=wd),
    )
    for b1, b2 in ((0.9, 0.999), (0.5, 0.9), (0.0, 0.99))
    for wd in (0.0, 0.05)
]
RULES.append(
    (Adam(weight_decay=0.05, amsgrad=True), lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.05, amsgrad=True))
)


@pytest.mark.parametrize(("rule", "reference"), RULES, ids=lambda v: repr(v) if isinstance(v, (SGD, Adam)) else "")
def test_trajectory_is_that_of_torch(rule, reference):
    g = torch.Generator().manual_seed(0)
    theta = torch.randn(5, 4, generator=g)
    expected = torch.nn.Parameter(theta.clone())
    optimizer = reference([expected])
    state = rule.init(theta)
    for t in range(1, 13):
        h = torch.randn(5, 4, generator=g) * (10 if t == 3 else 1)
        lr = 0.1 / t
        step, state = rule.apply(theta, h, state, lr, t)
        theta = theta - step
        expected.grad = h.clone()
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        torch.testing.assert_close(theta, expected.detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rule", [SGD(0.9, 0.1), SGD(0.0), Adam(weight_decay=0.1)])
def test_apply_writes_nothing(rule):
    theta, h = torch.randn(3), torch.randn(3)
    _, state = rule.apply(theta, h, rule.init(theta), 0.1, 1)
    inputs = (theta, h, *state.values())
    before = [t.clone() for t in inputs]
    first = rule.apply(theta, h, state, 0.1, 2)
    second = rule.apply(theta, h, state, 0.1, 2)
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))
    assert torch.equal(first[0], second[0])


@pytest.mark.parametrize("rule", [SGD(0.9, 0.1), Adam(weight_decay=0.1)])
def test_state_of_low_precision_weights_is_float32(rule):
    theta = torch.randn(3).bfloat16()
    step, state = rule.apply(theta, torch.randn(3), rule.init(theta), 0.1, 1)
    assert {t.dtype for t in (step, *rule.init(theta).values(), *state.values())} == {torch.float32}


@pytest.mark.parametrize("rule", [SGD(0.9, 0.1), Adam(weight_decay=0.1)])
def test_float64_weights_have_a_float64_state(rule):
    theta = torch.randn(3).double()
    step, state = rule.apply(theta, torch.randn(3), rule.init(theta), 0.1, 1)
    assert {t.dtype for t in (step, *rule.init(theta).values(), *state.values())} == {torch.float64}
