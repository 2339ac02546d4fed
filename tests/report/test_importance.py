"""Shares of the variance, on values whose sums of squares are known."""

from __future__ import annotations

import pytest

from zfscale.records import Status
from zfscale.report.importance import eta_squared, grouped, importance
from zfscale.report.load import Trial


def trials(values: list[float | None], **leaves: list[object]) -> list[Trial]:
    """Finished trials with these values of m, and of each leaf."""
    return [
        Trial(str(i), Status.FINISHED, {leaf: each[i] for leaf, each in leaves.items()}, {"m": value}, None)
        for i, value in enumerate(values)
    ]


def test_two_crossed_settings_share_the_variance() -> None:
    # m = 2 a + b: of the total sum of squares 5, a has 4 and b 1
    found = importance(trials([0, 1, 2, 3], a=[0, 0, 1, 1], b=["x", "y", "x", "y"]), "m", ["a", "b"])
    assert [(share.leaf, share.share) for share in found] == [("a", pytest.approx(0.8)), ("b", pytest.approx(0.2))]
    assert found[0].chance == pytest.approx(1 / 3)


def test_what_has_one_value_or_one_a_trial_or_did_not_finish_is_left_out() -> None:
    some = trials([0, 1, None, float("nan")], one=[1, 1, 2, 3], each=["a", "b", "c", "d"])
    assert importance(some, "m", ["one", "each"]) == []
    assert eta_squared([0, 1, 0], [2.0, 2.0, 2.0]) is None


def test_many_numbers_are_cut_into_ranges_and_what_is_not_set_is_a_group() -> None:
    values: list[object] = [*(float(i) for i in range(20)), None]
    groups, cut = grouped(values)
    assert cut
    assert groups == [i // 4 for i in range(20)] + [None]
    assert grouped([True, False, True]) == ([True, False, True], False)
