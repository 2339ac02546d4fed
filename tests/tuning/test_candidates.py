"""Candidates are distinct, spread evenly, and the same for every budget but for their number."""

from __future__ import annotations

import itertools
import math

import pytest

from zfscale.spec.distributions import Choice, Distribution, Grid, LogUniform, RandInt
from zfscale.tuning.candidates import candidates


def test_a_grid_is_tried_whole_and_once() -> None:
    rates = [1e-4, 1e-3, 1e-2, 1e-1]
    tried = [point["lr"] for point in candidates({"lr": Grid(grid=rates)})]
    assert tried[0] == 1e-2  # from the middle
    assert sorted(tried) == rates


def test_a_product_is_tried_whole_and_once() -> None:
    ranges: dict[str, Distribution] = {
        "a": Grid(grid=[1, 2, 3]),
        "b": Choice(choice=["x", "y"]),
        "c": RandInt(randint=[0, 4]),
    }
    tried = [tuple(point.values()) for point in candidates(ranges)]
    assert sorted(tried) == list(itertools.product([1, 2, 3], "xy", range(4)))


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_every_beginning_is_spread_over_the_range(n: int) -> None:
    tried = [point["lr"] for point in itertools.islice(candidates({"lr": LogUniform(loguniform=[1e-4, 1.0])}), n)]
    logs = sorted([-4.0, *(math.log10(value) for value in tried), 0.0])
    assert len(set(tried)) == n
    assert max(b - a for a, b in itertools.pairwise(logs)) < 2 * 4 / n  # at most twice what even steps leave


def test_two_dimensions_are_those_of_the_sequence() -> None:
    plastic = 1.3247179572447460  # the root of x^3 = x + 1
    ranges = {"a": LogUniform(loguniform=[1.0, math.e]), "b": LogUniform(loguniform=[1.0, math.e])}
    for i, point in enumerate(itertools.islice(candidates(ranges), 6)):
        expected = [math.exp((0.5 + i * plastic**-k) % 1) for k in (1, 2)]
        assert list(point.values()) == pytest.approx(expected, abs=1e-5)
