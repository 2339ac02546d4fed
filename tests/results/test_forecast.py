"""The time left follows from the forwards that trials are known to make, not from a mean over trials."""

from __future__ import annotations

import pytest

from zfscale.results.forecast import Forecast, Going
from zfscale.results.plan import Expected

SLOW, FAST = ("trained", "ease", "fo"), ("trained", "ease", "zo")
UNTRAINED = ("untrained", "simplecil", "zo")


def plan(**kinds):
    """So many trials of a kind, each with so many forwards."""
    made = {"slow": SLOW, "fast": FAST, "untrained": UNTRAINED}
    return {f"{k}{i}": Expected(made[k], forwards) for k, (n, forwards) in kinds.items() for i in range(n)}


def known(eta):
    assert eta is not None
    return eta


def test_nothing_is_said_before_anything_is_known():
    assert Forecast(plan(slow=(3, 100))).eta([], 1, 10.0) is None


def test_what_is_left_counts_and_not_the_mean_of_what_ran():
    """Ten short trials first, then ten of fifty times the forwards."""
    trials = plan(fast=(10, 100)) | {f"long{i}": Expected(FAST, 5000.0) for i in range(10)}
    forecast = Forecast(trials)
    for i in range(10):
        forecast.end(f"fast{i}", 1.0, 100)
    assert known(forecast.eta([], 2, 5.0)).seconds == pytest.approx(250)


def test_results_of_earlier_runs_count_for_the_price_and_not_for_the_speed():
    forecast = Forecast(plan(fast=(100, 100)))
    for i in range(90):
        forecast.end(f"fast{i}", 2.0, 100, now=False)
    eta = known(forecast.eta([Going("fast90", 50)], 1, 1.0))
    assert eta.seconds == pytest.approx(9.5 * 2)
    assert eta.high - eta.low < 1e-6


def test_time_between_trials_is_counted_for_each():
    forecast = Forecast(plan(fast=(100, 100)))
    for i in range(50):
        forecast.end(f"fast{i}", 1.0, 100)
    assert known(forecast.eta([], 2, 50.0)).seconds == pytest.approx(50)  # each takes a second, and a second between


def test_one_long_trial_knows_where_it_is():
    forecast = Forecast(plan(slow=(1, 1000)))
    early = known(forecast.eta([Going("slow0", 10, price=0.5, elapsed=30.0)], 1, 30.0))
    late = known(forecast.eta([Going("slow0", 900, price=0.5, elapsed=480.0)], 1, 480.0))
    assert early.seconds == pytest.approx(495)
    assert late.seconds == pytest.approx(50)
    assert late.high - late.low < early.high - early.low


def test_a_kind_that_has_not_run_takes_after_the_most_alike_with_a_wide_spread():
    trials = plan(slow=(10, 100), fast=(10, 100))
    forecast = Forecast(trials)
    for i in range(10):
        forecast.end(f"fast{i}", 1.0, 100)
    eta = known(forecast.eta([], 1, 10.0))
    assert eta.seconds == pytest.approx(10)
    assert eta.low < 7 < 13 < eta.high


def test_untrained_trials_have_a_price_each():
    forecast = Forecast(plan(fast=(1, 100), untrained=(4, 0)))
    forecast.end("fast0", 10.0, 100)
    guess = known(forecast.eta([], 1, 10.0))
    assert guess.high > 30 > guess.low
    forecast.end("untrained0", 0.5, 0)
    assert known(forecast.eta([], 1, 10.5)).seconds == pytest.approx(1.5)


def test_the_last_trial_takes_its_own_time_however_many_slots_there_are():
    forecast = Forecast(plan(fast=(2, 100)))
    forecast.end("fast0", 60.0, 100)
    assert known(forecast.eta([Going("fast1", 0)], 64, 60.0)).seconds >= 60


def test_a_failed_trial_is_not_left_and_says_nothing_of_its_kind():
    forecast = Forecast(plan(fast=(3, 100)))
    forecast.end("fast0", None, None)
    assert forecast.eta([], 1, 1.0) is None
    forecast.end("fast1", 5.0, 100)
    assert known(forecast.eta([], 1, 5.0)).seconds == pytest.approx(5)
