"""Paired differences and ratios against NumPy, from the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zfscale.report.paired import Stat, differences, ratio, stat


def by_run(values) -> dict[int, float | None]:
    return {i: None if value is None else float(value) for i, value in enumerate(values)}


def test_a_standard_error_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(size=7)
    found = stat(values.tolist())
    expected = (values.mean(), values.std(ddof=1), values.std(ddof=1) / np.sqrt(7))
    assert (found.mean, found.std, found.error) == pytest.approx(expected)


def test_of_one_value_or_of_none_there_is_no_error() -> None:
    assert (stat([0.5, None]), stat([None])) == (Stat(0.5), Stat())
    assert stat([1.0, math.inf]) == Stat(math.inf)
    assert math.isnan(stat([math.inf, -math.inf]).mean or 0.0)


def test_a_paired_difference_takes_out_what_runs_share() -> None:
    shared = np.array([0.0, 10.0, 20.0, 30.0])
    own = np.array([1.0, 2.0, 3.0, 2.0])
    found = stat(list(differences(by_run(shared + own), by_run(shared)).values()))
    assert (found.mean, found.error) == pytest.approx((own.mean(), own.std(ddof=1) / 2))
    assert found.beyond
    assert (stat((shared + own).tolist()).error or 0.0) > 10 * (found.error or 0.0)


def test_runs_that_one_lacks_are_left_out() -> None:
    assert differences({"a": 1.0, "b": 2.0, "c": None}, {"a": 0.5, "c": 1.0, "d": 1.0}) == {"a": 0.5}


def test_what_is_two_errors_from_zero_is_not_beyond() -> None:
    assert not Stat(2.0, None, 1.0).beyond
    assert Stat(-2.1, None, 1.0).beyond
    assert not Stat(5.0).beyond


@pytest.mark.parametrize("n", [2, 5, 9])
def test_the_error_of_a_ratio_is_the_delta_method(n: int) -> None:
    draw = np.random.default_rng(n)
    y = draw.normal(10, 1, n)
    x = 0.4 * y + draw.normal(0, 0.5, n)
    found = ratio(by_run(x), by_run(y))
    gradient = np.array([1 / y.mean(), -x.mean() / y.mean() ** 2])
    covariance = np.cov(x, y, ddof=1) / n
    assert found.mean == pytest.approx(x.mean() / y.mean())
    assert found.error == pytest.approx(np.sqrt(gradient @ covariance @ gradient))


def test_the_delta_method_agrees_with_a_paired_bootstrap() -> None:
    draw = np.random.default_rng(1)
    y = draw.normal(10, 2, 40)
    x = 0.4 * y + draw.normal(0, 1, 40)
    rows = draw.integers(0, 40, (4000, 40))
    bootstrap = (x[rows].mean(1) / y[rows].mean(1)).std()
    assert ratio(by_run(x), by_run(y)).error == pytest.approx(bootstrap, rel=0.1)


def test_a_ratio_to_itself_is_one_without_error() -> None:
    found = ratio(by_run([1.0, 2.0, 3.0]), by_run([1.0, 2.0, 3.0]))
    assert (found.mean, found.error) == (1.0, 0.0)


@pytest.mark.parametrize("wholes", [[-1.0, 1.0, 2.0], [5.0], [], [None, None]])
def test_there_is_no_ratio_to_what_may_be_zero(wholes: list[float | None]) -> None:
    assert ratio(by_run([1.0, 2.0, 3.0]), by_run(wholes)) == Stat()
