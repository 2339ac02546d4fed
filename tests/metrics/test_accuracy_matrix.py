"""Every metric against a value worked out by hand."""

import numpy as np
import pytest

from zfscale.metrics import accuracy_matrix as metrics

A = [[0.9], [0.7, 0.8], [0.8, 0.5, 1.0]]
COUNTS = [10, 10, 20]
SQUARE = np.array([[0.9, np.nan, np.nan], [0.7, 0.8, np.nan], [0.8, 0.5, 1.0]])


@pytest.fixture(params=[A, SQUARE], ids=["ragged", "numpy"])
def matrix(request):
    return request.param


def test_stage_accuracy_weighs_tasks_by_their_test_counts(matrix):
    found = [metrics.stage_accuracy(matrix, COUNTS, k) for k in range(3)]
    assert found == pytest.approx([0.9, 0.75, (8 + 5 + 20) / 40])


def test_average_and_last(matrix):
    assert metrics.average(matrix, np.array(COUNTS)) == pytest.approx((0.9 + 0.75 + 0.825) / 3)
    assert metrics.last(matrix, COUNTS) == pytest.approx(0.825)


def test_forgetting_counts_from_the_best_earlier_stage(matrix):
    assert metrics.forgetting(matrix) == pytest.approx(((0.9 - 0.8) + (0.8 - 0.5)) / 2)


def test_forgetting_may_be_negative():
    assert metrics.forgetting([[0.5], [0.75, 1.0]]) == pytest.approx(-0.25)


def test_forgetting_best_is_not_the_first():
    a = [[0.5], [0.9, 0.6], [0.4, 0.6, 1.0]]
    assert metrics.forgetting(a) == pytest.approx((0.9 - 0.4 + 0.0) / 2)
    assert metrics.bwt(a) == pytest.approx((0.4 - 0.5 + 0.0) / 2)


def test_plasticity_is_the_mean_of_the_diagonal(matrix):
    assert metrics.plasticity(matrix) == pytest.approx(np.diag(SQUARE).mean())
    assert metrics.plasticity(matrix) == pytest.approx((0.9 + 0.8 + 1.0) / 3)


def test_bwt(matrix):
    assert metrics.bwt(matrix) == pytest.approx(((0.8 - 0.9) + (0.5 - 0.8)) / 2)


def test_fwt(matrix):
    assert metrics.fwt(matrix, [0.0, 0.9, 0.7]) == pytest.approx(((0.8 - 0.9) + (1.0 - 0.7)) / 2)


def test_one_task_has_nothing_to_forget_or_transfer():
    assert metrics.forgetting([[0.4]]) == metrics.bwt([[0.4]]) == metrics.fwt([[0.4]], [0.1]) == 0.0
    assert metrics.average([[0.4]], [7]) == metrics.last([[0.4]], [7]) == pytest.approx(0.4)


def test_results_are_plain_floats(matrix):
    found = [metrics.average(matrix, COUNTS), metrics.forgetting(matrix), metrics.bwt(matrix)]
    assert [type(value) for value in found] == [float] * 3


@pytest.mark.parametrize("metric", [metrics.forgetting, metrics.bwt, metrics.plasticity])
def test_no_stage_is_an_error(metric):
    with pytest.raises(ValueError, match="at least one stage"):
        metric([])
