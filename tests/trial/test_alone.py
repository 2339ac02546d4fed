"""Forward transfer: each task learned alone, by a fresh model, and nothing of it in the trial's records."""

from __future__ import annotations

import time

import numpy as np
import pytest

from zfscale.data.image_data import ImageData
from zfscale.metrics.accuracy_matrix import fwt
from zfscale.recording import Recording
from zfscale.training.journal import Journal
from zfscale.trial import run as trial

METHODS = ["simplecil", "aper", "ease", "finetune", "memo", "lwf"]


def asked(small, method: str, optimizer: str = "zo-adam", **more):
    stream = {**small.spec_of["stream"], "forward_transfer": True}
    return small.spec(method, optimizer, stream=stream, **more)


@pytest.mark.parametrize("method", METHODS)
def test_it_is_the_definition_on_the_recorded_accuracies(method, small):
    told = small.run(asked(small, method))
    a = {(e.stage, e.task): e.value for e in told.evals if e.metric == "accuracy"}
    alone = {e.task: e.value for e in told.evals if e.metric == "accuracy_alone"}
    assert sorted(alone) == [2, 3]
    assert told.outcome.fwt == pytest.approx(np.mean([a[2, 2] - alone[2], a[3, 3] - alone[3]]))
    assert told.outcome.fwt == fwt(
        [[a[1, 1]], [a[2, 1], a[2, 2]], [a[3, 1], a[3, 2], a[3, 3]]], [0, alone[2], alone[3]]
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_reference_is_a_trial_of_that_task_alone(method, small):
    """A data set of the task's classes and no others, in one task, has the same accuracy."""
    spec = asked(small, method)
    told = small.run(spec)
    order = np.random.RandomState(1993).permutation(6)
    for task in (2, 3):
        mine = order[2 * task - 2 : 2 * task]
        kept = [np.isin(y, mine) for y in (small.data.train_y, small.data.test_y)]
        y = [
            np.argsort(mine)[np.searchsorted(np.sort(mine), each[k])]
            for each, k in zip((small.data.train_y, small.data.test_y), kept, strict=True)
        ]
        data = ImageData(small.data.train_x[kept[0]], y[0], small.data.test_x[kept[1]], y[1], ("a", "b"))
        stream = {**small.spec_of["stream"], "tasks": 1, "class_order": [0, 1]}
        sink = Recording()
        trial.run(small.spec(method, "zo-adam", stream=stream), small.base, data, sink)
        expected = next(e.value for e in sink.evals if e.metric == "accuracy")
        found = next(e.value for e in told.evals if (e.metric, e.task) == ("accuracy_alone", task))
        assert found == expected


def test_all_else_is_as_without_it(small):
    plain, told = small.run(small.spec("ease", "zo-adam")), small.run(asked(small, "ease"))
    assert plain.outcome.fwt is None
    assert [e for e in told.evals if e.metric != "accuracy_alone"] == plain.evals
    assert told.queries == plain.queries
    assert told.outcome.forwards == plain.outcome.forwards
    assert told.outcome.avg_accuracy == plain.outcome.avg_accuracy


def test_a_pause_takes_no_time():
    journal = Journal(Recording())
    before = journal.seconds
    with journal.paused():
        time.sleep(0.3)
    assert journal.seconds - before < 0.2
