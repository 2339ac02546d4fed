"""Held-out training images: the same share of every class, always the same ones."""

from __future__ import annotations

import numpy as np
import pytest

from zfscale.data.holdout import held_out
from zfscale.errors import DataError

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [10, 20, 71]))


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0.2, [2, 4, 14]),  # of 14.2
        (20, [2, 4, 14]),  # of 1.98, 3.96 and 14.06
        (0.001, [1, 1, 1]),
        (0.999, [9, 19, 70]),
        (3, [1, 1, 2]),  # 2.1 of 3 are of the largest class, and every class gives one
        (98, [9, 19, 69]),  # 9.7, 19.4 and 68.9: every class keeps one
    ],
)
def test_classes_give_in_proportion(amount: float, expected: list[int]) -> None:
    assert np.bincount(LABELS[held_out(LABELS, amount)]).tolist() == expected


def test_a_draw_is_fixed_and_within_a_class_depends_on_nothing_else() -> None:
    first = held_out(LABELS, 0.2)
    np.random.seed(5)
    assert (held_out(LABELS, 0.2) == first).all()
    assert not (first == held_out(LABELS, 0.3)).all()
    rows = np.flatnonzero(first & (LABELS == 1))
    assert not (rows == np.flatnonzero(LABELS == 1)[:4]).all()  # not merely the first ones


@pytest.mark.parametrize(
    ("labels", "amount", "says"),
    [
        ([0, 0, 1], 0.5, "class 1 has 1 training image"),
        ([0, 0, 1, 1], 1, "1 of 4 images; allowed: 2 to 2"),
        ([0, 0, 1, 1], 3, "3 of 4 images; allowed: 2 to 2"),
    ],
)
def test_what_cannot_be_held_out(labels: list[int], amount: float, says: str) -> None:
    with pytest.raises(DataError, match=says):
        held_out(np.array(labels), amount)
