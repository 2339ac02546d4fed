"""The toy's losses against the formulas written out in NumPy, and their derivatives against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zfscale.toy.loss import STARTS, losses, total

RNG = np.random.default_rng(0)
POINTS = np.concatenate([RNG.uniform(-11, 11, (400, 2)), list(STARTS.values()), [[-7.0, 0.0]]])
T2 = 3.0
FLOORS = {0: -7 + 2 * math.tanh(T2), 1: 3 + 2 * math.tanh(T2 - 2)}  # task -> t1 of the bottom of its valley, at T2


def reference(t1: float, t2: float) -> tuple[float, float]:
    f1 = math.log(max(abs(0.5 * (-t1 - 7) - math.tanh(-t2)), 5e-6)) + 6
    f2 = math.log(max(abs(0.5 * (-t1 + 3) - math.tanh(-t2 + 2)), 5e-6)) + 6
    g1 = ((-t1 + 7) ** 2 + 0.1 * (t2 - 8) ** 2) / 10 - 20
    g2 = ((-t1 - 7) ** 2 + 0.1 * (t2 - 8) ** 2) / 10 - 20
    c1, c2 = max(math.tanh(0.5 * t2), 0.0), max(math.tanh(-0.5 * t2), 0.0)
    return c1 * f1 + c2 * g1, c1 * f2 + c2 * g2


def test_losses_are_the_formulas():
    found = torch.stack(losses(torch.from_numpy(POINTS)), -1).numpy()
    np.testing.assert_allclose(found, [reference(*point) for point in POINTS], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("task", FLOORS)
def test_a_valley_has_a_floor(task):
    deepest = math.tanh(T2 / 2) * (math.log(5e-6) + 6)
    assert float(losses(torch.tensor([FLOORS[task], T2], dtype=torch.float64))[task]) == pytest.approx(deepest)


def test_derivatives_are_differences():
    h, points = 1e-6, [point for point in POINTS if all(abs(d) > 0.05 for d in distances(*point))]
    assert len(points) > 300
    for point in points:
        theta = torch.tensor(point, requires_grad=True)
        total(theta).backward()
        assert theta.grad is not None
        for axis, slope in enumerate(theta.grad):
            step = h * np.eye(2)[axis]
            difference = (sum(reference(*(point + step))) - sum(reference(*(point - step)))) / (2 * h)
            assert float(slope) == pytest.approx(difference, abs=1e-5)


def distances(t1: float, t2: float) -> tuple[float, float, float]:
    """From where the sum has a kink: both valleys, and t2 = 0."""
    return 0.5 * (-t1 - 7) - math.tanh(-t2), 0.5 * (-t1 + 3) - math.tanh(-t2 + 2), t2
