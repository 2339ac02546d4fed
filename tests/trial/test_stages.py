"""A trial is a generator: a report after every stage, whose measures are those of the stages so far."""

from __future__ import annotations

import pytest

from tests.conftest import Memory, Small
from zfscale.training.journal import Journal
from zfscale.trial.run import run, stages


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
