"""Metrics of the loss matrix, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from zfscale.metrics.loss_matrix import (
    backward_transfer,
    bits_per_byte,
    final_loss,
    forgetting,
    forward_transfer,
    learning_gain,
    perplexity,
)

# Three domains; row 0 is the base model.
L = [
    [4.0, 5.0, 6.0],
    [2.0, 4.5, 6.5],
    [3.0, 2.5, 5.0],
    [3.5, 2.0, 1.0],
]


def test_by_hand():
    assert final_loss(L) == pytest.approx((3.5 + 2.0 + 1.0) / 3)
    assert learning_gain(L) == pytest.approx(((4.0 - 2.0) + (4.5 - 2.5) + (5.0 - 1.0)) / 3)
    assert forgetting(L) == pytest.approx(((3.5 - 2.0) + (2.0 - 2.5)) / 2)
    assert backward_transfer(L) == pytest.approx(((2.0 - 3.5) + (2.5 - 2.0)) / 2)
    assert forward_transfer(L) == pytest.approx(((5.0 - 4.5) + (6.0 - 5.0)) / 2)


def test_a_model_that_never_moves_neither_learns_nor_forgets():
    still = [[1.0, 2.0]] * 3
    assert learning_gain(still) == forgetting(still) == backward_transfer(still) == forward_transfer(still) == 0


def test_one_domain_has_nothing_to_forget():
    assert forgetting([[3.0], [1.0]]) == backward_transfer([[3.0], [1.0]]) == forward_transfer([[3.0], [1.0]]) == 0


def test_scales_of_a_loss():
    assert perplexity(math.log(7)) == pytest.approx(7)
    assert perplexity(1e4) == math.inf
    assert math.isnan(perplexity(math.nan))
    assert bits_per_byte(math.log(2) * 3, bytes_per_token=4) == pytest.approx(0.75)
