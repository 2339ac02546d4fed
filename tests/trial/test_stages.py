"""A trial is a generator: a report after every stage, whose measures are those of the stages so far."""

from __future__ import annotations

import dataclasses

import pytest

from tests.conftest import Memory, Small
from zfscale.methods.catalogue import METHODS
from zfscale.records import Status
from zfscale.training.journal import Journal
from zfscale.trial.run import run, stages, walk


def test_a_report_after_every_stage(small: Small, memory: Memory) -> None:
    spec = small.spec("simplecil")
    reports = list(stages(spec, small.base, small.data, Journal(memory), {}))
    assert [report.stage for report in reports] == [1, 2, 3]
    seen = [e.value for e in memory.evals if e.metric == "stage_accuracy"]
    for report, last in zip(reports, seen, strict=True):
        assert report.measures["last_accuracy"] == last
        assert report.measures["avg_accuracy"] == pytest.approx(sum(seen[: report.stage]) / report.stage)
    outcome = run(spec, small.base, small.data, Memory())
    assert {name: outcome.measures[name] for name in reports[-1].measures} == reports[-1].measures


def test_whoever_walks_the_stages_may_stop(small: Small, memory: Memory) -> None:
    """Nothing is learned of a stage that is not asked for."""
    walk = stages(small.spec("finetune"), small.base, small.data, Journal(memory), {})
    first = next(iter(walk))
    assert first.stage == 1
    assert {step.task for step in memory.steps} == {1}


def test_validation_images_are_what_a_trial_is_measured_on(small: Small) -> None:
    """Of 8 training images a class, four are held out; the 2 test images are not predicted."""
    plain = small.spec("simplecil")
    spec = plain.model_copy(update={"stream": plain.stream.model_copy(update={"validation": 0.5})})
    tasks = small.tasks(spec)
    kept = sum(len(task.train_y) for task in tasks)
    held = sum(len(task.test_y) for task in tasks)
    assert (kept, held) == (24, 24)
    assert run(spec, small.base, small.data, Memory()).measures["evaluated_images"] == held
    assert run(plain, small.base, small.data, Memory()).measures["evaluated_images"] == 12


def test_a_trial_that_is_stopped_has_what_it_measured_so_far(small: Small, memory: Memory) -> None:
    whole, told = Memory(), []
    whole.close(run(small.spec("finetune"), small.base, small.data, whole))
    walking = walk(small.spec("finetune"), small.base, small.data, memory)
    told.append(next(walking))
    told.append(walking.send(False))
    with pytest.raises(StopIteration) as end:
        walking.send(True)
    outcome = end.value.value
    assert [(report.stage, report.last) for report in told] == [(1, False), (2, False)]
    assert (outcome.status, outcome.stopped_at) == (Status.STOPPED, 2)
    assert outcome.forwards == memory.steps[-1].forwards == told[1].measures["forwards"]
    assert outcome.avg_accuracy == told[1].measures["avg_accuracy"]
    for mine, all_of_it in ((memory.steps, whole.steps), (memory.queries, whole.queries), (memory.evals, whole.evals)):
        assert 0 < len(mine) < len(all_of_it)
    assert memory.told == [r for r in whole.told if getattr(r, "task", 0) <= 2 and getattr(r, "stage", 0) <= 2]


def test_after_its_last_stage_a_trial_is_not_stopped(small: Small) -> None:
    walking, reports = walk(small.spec("simplecil"), small.base, small.data, Memory()), []
    try:
        reports.append(next(walking))
        while True:
            reports.append(walking.send(reports[-1].last))
    except StopIteration as end:
        outcome = end.value
    assert [report.last for report in reports] == [False, False, True]
    assert (outcome.status, outcome.stopped_at) == (Status.FINISHED, None)


def test_a_method_says_how_many_stages_it_has(small: Small) -> None:
    """One that lists fewer or more than the stream, or a trial would be stopped at its end, or never be."""
    for name in METHODS:
        facts = METHODS[name]
        if facts.stream == "class_incremental":
            reports = list(stages(small.spec(name), small.base, small.data, Journal(Memory()), {}))
            assert [report.last for report in reports] == [False, False, True], name


@pytest.mark.parametrize("optimizer", ["zo-adam", "fo-sgd"])
def test_reports_inside_stages_change_nothing_of_what_is_written(optimizer: str, small: Small) -> None:
    spec, told, reports = small.spec("finetune", optimizer, train__epochs=2), Memory(), []
    plain = small.run(spec)
    walking = walk(spec, small.base, small.data, told, every=3)
    try:
        while True:
            reports.append(next(walking))
    except StopIteration as end:
        outcome = end.value
    timeless = [[dataclasses.replace(one, seconds=0.0) for one in memory.steps] for memory in (told, plain)]
    assert timeless[0] == timeless[1]
    assert (told.queries, told.evals, outcome.avg_accuracy) == (plain.queries, plain.evals, plain.outcome.avg_accuracy)
    inside = [report for report in reports if report.step]
    assert [(one.step, one.stage) for one in inside] == [(3, 0), (6, 1), (9, 2), (12, 2)]
    losses = [step.loss for step in plain.steps]
    for one in inside:
        assert one.measures["loss"] == pytest.approx(sum(losses[one.step - 3 : one.step]) / 3)
    assert [one.stage for one in reports if not one.step] == [1, 2, 3]


def test_a_trial_may_be_stopped_inside_its_first_stage_and_has_measured_nothing(small: Small, memory: Memory) -> None:
    walking = walk(small.spec("finetune", train__epochs=2), small.base, small.data, memory, every=3)
    next(walking)
    with pytest.raises(StopIteration) as end:
        walking.send(True)
    outcome = end.value.value
    assert (outcome.status, outcome.stopped_at, outcome.avg_accuracy) == (Status.STOPPED, 0, None)
    assert (len(memory.steps), memory.evals) == (3, [])
    assert outcome.forwards == memory.steps[-1].forwards
