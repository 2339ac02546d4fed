"""Pieces of the training loop: batches, schedule, and what a journal writes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zfscale.training.fit import batches, schedule, steps_per_epoch
from zfscale.training.journal import Journal
from zfscale.zo.step import StepResult


@pytest.mark.parametrize(("images", "batch_size"), [(10, 3), (12, 4), (5, 8), (1, 1), (7, 1)])
def test_every_row_comes_once_an_epoch(images, batch_size):
    parts = list(batches(images, batch_size, 3, seed=2**63 - 1))
    per_epoch = steps_per_epoch(images, batch_size)
    assert len(parts) == 3 * per_epoch
    for epoch in range(3):
        mine = parts[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(np.concatenate(mine)) == list(range(images))
        assert [len(p) for p in mine[:-1]] == [batch_size] * (per_epoch - 1)
        assert 1 <= len(mine[-1]) <= batch_size


def test_the_order_is_a_function_of_seed_and_epoch():
    def epochs(seed, n, batch_size=7):
        flat = np.concatenate(list(batches(50, batch_size, n, seed)))
        return [tuple(e) for e in flat.reshape(n, 50)]

    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    three = epochs(4, 3)
    assert len(set(three)) == 3
    assert epochs(4, 1) == three[:1]  # not of the number of epochs
    assert epochs(4, 3, batch_size=50) == three  # nor of the batch size
    assert set(three).isdisjoint(epochs(5, 3))
    assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], before)


def test_steps_per_epoch():
    assert [steps_per_epoch(n, 4) for n in (1, 4, 5, 8, 9)] == [1, 1, 2, 2, 3]


def test_schedules():
    assert [schedule("constant", s, 10) for s in (0, 5, 9)] == [1, 1, 1]
    cosine = [schedule("cosine", s, 10) for s in range(11)]
    assert cosine == pytest.approx([(1 + math.cos(math.pi * s / 10)) / 2 for s in range(11)])
    assert cosine[0] == 1
    assert cosine[-1] == pytest.approx(0)
    assert cosine == sorted(cosine, reverse=True)


def test_the_journal_adds_up_and_writes_a_row_a_query(memory):
    journal = Journal(memory)
    journal.record(2, 0, 0.5, StepResult(1.5, (11, 12), (0.25, -4.0), -1, 5))
    journal.record(2, 1, 0.4, StepResult(1.0, (), (), 1, 1))
    assert [(s.task, s.step, s.loss, s.lr, s.forwards) for s in memory.steps] == [
        (2, 0, 1.5, 0.5, 5),
        (2, 1, 1.0, 0.4, 6),
    ]
    assert 0 <= memory.steps[0].seconds <= memory.steps[1].seconds
    queries = [(q.task, q.step, q.query, q.seed, q.coefficient, q.accepted) for q in memory.queries]
    assert queries == [(2, 0, 0, 11, 0.25, -1), (2, 0, 1, 12, -4.0, -1)]
