"""Estimates against what theory says of them on a quadratic, and forward gradients against autograd."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from toys import problem_of

from zfscale.errors import ZfscaleError
from zfscale.zo.estimate import Estimate, forward_gradient, spsa
from zfscale.zo.problem import Problem

D = 6


class Quadratic(nn.Module):
    """L = theta' A theta / 2 + b' theta with theta in two leaves; counts its forwards."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        root = torch.randn(D, D, generator=g, dtype=torch.float64)
        self.a = root @ root.T / D
        self.b = torch.randn(D, generator=g, dtype=torch.float64)
        self.first = nn.Parameter(torch.randn(2, 2, generator=g, dtype=torch.float64))
        self.second = nn.Parameter(torch.randn(D - 4, generator=g, dtype=torch.float64))
        self.forwards = 0

    def forward(self) -> torch.Tensor:
        self.forwards += 1
        theta = torch.cat([self.first.flatten(), self.second])
        return theta @ self.a @ theta / 2 + self.b @ theta


def make(noise: str = "rademacher") -> tuple[Quadratic, Any, torch.Tensor]:
    net = Quadratic()
    net().backward()
    gradient = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    net.forwards = 0
    return net, problem_of(net, noise, queries=4), gradient


def flat(problem: Problem, estimate: Estimate) -> torch.Tensor:
    return estimate.gradient(problem, 0, D).double()


@pytest.mark.parametrize("q", [1, 4])
@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("noise", ["rademacher", "gaussian"])
def test_spsa_is_unbiased_with_the_variance_of_theory(noise, sides, q):
    _, problem, g = make(noise)
    n = 320 // q
    rows = [
        flat(problem, spsa(problem, range(q * i, q * i + q), eps=1e-4 if sides == 1 else 1e-2, sides=sides))
        for i in range(n)
    ]
    got = torch.stack(rows)
    # Var(c z_i) with c = g'z: sum_{j != i} g_j^2 for signs, |g|^2 + g_i^2 for normals; q queries divide it by q.
    variance = (g.square().sum() + g.square() * (-1 if noise == "rademacher" else 1)) / q
    error = (got.mean(0) - g).abs()
    assert (error < 4 * (variance / n).sqrt()).all(), (error, (variance / n).sqrt())
    assert float(got.var(0).mean() / variance.mean()) == pytest.approx(1, abs=0.5)
    assert math.sqrt(float(variance.max()) / n) < 0.25 * float(g.norm())  # tight enough to mean something


@pytest.mark.parametrize("q", [1, 4])
@pytest.mark.parametrize("sides", [1, 2])
def test_spsa_coefficients_losses_and_forwards(sides, q):
    net, problem, g = make()
    here = float(net().detach())
    net.forwards = 0
    seeds = list(range(100, 100 + q))
    e = spsa(problem, seeds, eps=1e-3, sides=sides)
    assert net.forwards == e.forwards == (q + 1 if sides == 1 else 2 * q)
    assert e.seeds == tuple(seeds)
    zs = [problem.directions.slice(s, 0, D).double() for s in seeds]
    curvature = [0.0 if sides == 2 else float(z @ net.a @ z) * 1e-3 / 2 for z in zs]
    assert e.coefficients == pytest.approx([float(g @ z) + c for z, c in zip(zs, curvature, strict=True)], rel=1e-6)
    expected = sum(c * z for c, z in zip(e.coefficients, zs, strict=True)) / q
    torch.testing.assert_close(flat(problem, e), expected, rtol=1e-5, atol=1e-5)
    assert e.exact == (sides == 1)
    assert e.loss == pytest.approx(here, rel=0 if sides == 1 else 1e-4)


@pytest.mark.parametrize("noise", ["rademacher", "gaussian"])
@pytest.mark.parametrize("q", [1, 4])
def test_forward_gradient_is_the_directional_derivative(q, noise):
    net, problem, g = make(noise)
    e = forward_gradient(problem, range(q))
    assert net.forwards == e.forwards == q
    zs = [problem.directions.slice(s, 0, D).double() for s in range(q)]
    assert e.coefficients == pytest.approx([float(g @ z) for z in zs], rel=1e-9)
    assert e.exact
    assert e.loss == pytest.approx(float(net().detach()))
    assert all(p.is_leaf and torch.autograd.forward_ad.unpack_dual(p).tangent is None for p in net.parameters())


def test_an_estimate_may_start_its_seeds_anywhere():
    """Seeds are names, not positions: the estimate of a set of seeds is the mean of those of its members."""
    _, problem, _ = make()
    seeds = [2**63 - 1, 7, 2**40]
    together = flat(problem, spsa(problem, seeds, 1e-3, 2))
    alone = torch.stack([flat(problem, spsa(problem, [s], 1e-3, 2)) for s in seeds])
    torch.testing.assert_close(together, alone.mean(0), rtol=1e-5, atol=1e-5)


def test_a_gradient_in_pieces_is_that_of_the_whole():
    _, problem, _ = make("gaussian")
    e = spsa(problem, range(3), 1e-3, 2)
    pieces = [e.gradient(problem, a, b) for a, b in ((0, 1), (1, 4), (4, D))]
    assert torch.equal(torch.cat(pieces), e.gradient(problem, 0, D))


def test_shapes_of_an_estimate_keep_all_but_the_coefficients():
    e = Estimate((1, 2, 3), (-0.5, 4.0, 0.0), 0.7, exact=True, forwards=4)
    assert e.clipped(0.0) == e
    assert e.clipped(1.0) == Estimate((1, 2, 3), (-0.5, 1.0, 0.0), 0.7, True, 4)
    assert e.signed() == Estimate((1, 2, 3), (-1.0, 1.0, 0.0), 0.7, True, 4)
    assert e.finite
    bad = [replace(e, loss=v) for v in (math.nan, math.inf)] + [
        replace(e, coefficients=(1.0, v)) for v in (math.nan, -math.inf)
    ]
    assert not any(b.finite for b in bad)


def test_a_forward_gradient_of_what_has_no_derivative_is_an_error():
    net, problem, _ = make()
    problem.oracle.loss = lambda: net().detach().round()
    with pytest.raises(ZfscaleError, match="no derivative"):
        forward_gradient(problem, [1])
    problem.oracle.loss = lambda: torch.tensor(float(net()))
    with pytest.raises(ZfscaleError, match="no derivative"):
        forward_gradient(problem, [1])
