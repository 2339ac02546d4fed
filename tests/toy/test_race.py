"""Trajectories: every optimizer of the catalogue goes on the toy as Algorithm 1 and torch.optim say."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from zfscale.errors import ZfscaleError
from zfscale.toy.loss import STARTS, total
from zfscale.toy.race import STEP, Plane, run
from zfscale.toy.racers import DEFAULT, ENHANCEMENTS, racer
from zfscale.zo.catalogue import OPTIMIZERS
from zfscale.zo.directions.dense import Gaussian
from zfscale.zo.philox import derive

BALANCE = (0.0, -4.673)  # the least L1 + L2, where L1 = L2
STEPS = 400


def z_of(seed: int, number: int) -> np.ndarray:
    """The Gaussian direction of a step."""
    return Gaussian(Plane((0.0, 0.0)).leaves).slice(derive(seed, STEP, number, 0), 0, 2).double().numpy()


def loss(theta: np.ndarray) -> float:
    return float(total(torch.from_numpy(theta)))


def test_all_of_the_catalogue_run_by_default():
    assert set(OPTIMIZERS) < set(DEFAULT)
    assert {name.split("+", 1)[1] for name in DEFAULT if "+" in name} == {*ENHANCEMENTS, "+".join(ENHANCEMENTS)}


@pytest.mark.parametrize("name", DEFAULT)
def test_every_optimizer_finds_the_balance_from_the_bowl(name):
    points = run(racer(name, STEPS), "A", STEPS).points
    assert points.shape == (STEPS + 1, 2)
    assert tuple(points[0]) == STARTS["A"]
    np.testing.assert_allclose(points[-1], BALANCE, atol=0.35)


def test_the_balance_is_where_the_sum_is_least():
    t1, t2 = np.meshgrid(np.linspace(-11, 11, 221), np.linspace(-11, 11, 2201))
    grid = np.stack([t1, t2], -1)
    values = total(torch.from_numpy(grid)).numpy()
    np.testing.assert_allclose(grid[np.unravel_index(values.argmin(), values.shape)], BALANCE, atol=0.01)


def test_the_seed_decides_and_nothing_else():
    first, again, other = (run(racer("zo-adam", 20), "B", 20, seed).points for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_zo_sgd_is_the_formula():
    theta, v = np.array(STARTS["B"]), np.zeros(2)
    points = run(racer("zo-sgd", 30), "B", 30, seed=5).points
    for number in range(30):
        z = z_of(5, number)
        v = 0.9 * v + (loss(theta + 1e-3 * z) - loss(theta - 1e-3 * z)) / 2e-3 * z
        theta = theta - 0.01 * v
        np.testing.assert_allclose(points[number + 1], theta, atol=1e-3)
        theta, v = points[number + 1], v  # the valleys amplify what float32 rounds


def part(of: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    return of[start:stop]


def test_slopes_are_exact():
    plane, z = Plane(STARTS["B"]), torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    told = plane.slopes([partial(part, one) for one in z])
    theta = plane.leaves.flat.clone().requires_grad_()
    here = total(theta)
    here.backward()
    assert theta.grad is not None
    for (value, slope), one in zip(told, z.double(), strict=True):
        assert value == pytest.approx(here.item())
        assert slope == pytest.approx(float(theta.grad @ one))


def test_first_order_is_torch_optim():
    theta = torch.nn.Parameter(torch.tensor(STARTS["B"], dtype=torch.float64))
    adam = torch.optim.Adam([theta], 0.1)
    points = run(racer("fo-adam", 50), "B", 50).points
    for point in points[1:]:
        adam.zero_grad()
        total(theta).backward()
        adam.step()
        assert theta.tolist() == point.tolist()


def test_a_hybrid_begins_with_first_order():
    plain, hybrid = (run(racer(name, 100), "A", 100).points for name in ("fo-sgd", "zo-sgd+hybrid"))
    assert np.array_equal(plain[:11], hybrid[:11])
    assert not np.allclose(plain[11], hybrid[11])


def test_a_sparse_step_is_along_one_axis():
    options = racer("zo-sgd+sparse", 40)
    moved = np.diff(run(still(options), "A", 40).points, axis=0) != 0
    assert {tuple(row) for row in moved} == {(True, False), (False, True)}


def still(found):
    """The racer without momentum, which carries on along the other axis."""
    return type(found)(found.name, found.group, found.options.model_copy(update={"momentum": 0.0}))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("zo-sdg", "did you mean 'zo-sgd'?"),
        ("zo-sgd+histroy", "no enhancement 'histroy'; did you mean 'history'?"),
        ("fo-sgd+history", "enhancements are of forward-only optimizers"),
    ],
)
def test_what_cannot_run(name, says):
    with pytest.raises(ZfscaleError) as caught:
        racer(name, 10)
    assert says in str(caught.value)


def test_rates_are_those_of_one_step_in_the_end():
    rates = {name: racer(name, 10).options.lr for name in OPTIMIZERS}
    for name, lr in rates.items():
        assert math.isclose(lr, 0.01 if "momentum" in OPTIMIZERS[name].rule.arguments else 0.1)
