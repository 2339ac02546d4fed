"""A finished trial is walked again from its tables: the same records, and no training forward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trial.test_replay import ALL, HYBRID, optimized, run_into
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.errors import ZfscaleError
from zfscale.recording import Recording
from zfscale.results.check import look
from zfscale.sinks.about import About
from zfscale.sinks.fanout import Fanout
from zfscale.sinks.parquet import ParquetSink
from zfscale.training.snapshots import Snapshots
from zfscale.trial import run as trial
from zfscale.trial.again import Lacking, again


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    """Called by those who have run their trial: from here on, no loss of training is computed."""

    def stop() -> None:
        def refuse(*_: Any) -> None:
            raise AssertionError("a training forward")

        monkeypatch.setattr(ModuleOracle, "losses", refuse)

    return stop


def run_and_told(root: Path, spec: Any, small: Any, stop_after: int | None = None) -> Recording:
    """Run a trial into results; what it told."""
    told = Recording()
    sink = Fanout([told, ParquetSink(About.of(root, "s", spec))])
    walk, word = trial.walk(spec, small.base, small.data, sink, snapshots=Snapshots(root, spec.trial_id)), None
    while True:
        try:
            report = walk.send(word)
        except StopIteration as end:
            sink.close(end.value)
            return told
        word = stop_after is not None and report.stage == stop_after


def row_of(root: Path) -> dict[str, Any]:
    (row,) = look(root, ["versions", "micro_batch", "stopped_at"]).rows
    return row


CASES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "ease": ("ease", "zo-sgd", {}, {}),
    "all options": ("finetune", "zo-adamm-conserve", ALL, {}),
    "old loss": ("finetune", "zo-adam", {}, {"stream__old_loss_every": 1}),
    "no training": ("simplecil", "zo-sgd", {}, {}),
    "aper": ("aper", "zo-sgd", {}, {}),
    "memo": ("memo", "zo-sgd", {}, {}),
    "ewc": ("ewc", "zo-sgd", {}, {}),
    "hybrid": ("ease", "zo-sgd", {"first_order": HYBRID}, {"train__epochs": 2}),
    "hybrid, carried": ("finetune", "zo-adam", {"first_order": HYBRID, "carry_state": True}, {"train__epochs": 2}),
    "all first-order": ("finetune", "zo-sgd", {"first_order": HYBRID}, {}),
    "bf16": ("ease", "zo-sgd", {"eps": 0.1}, {"train__precision": "bf16"}),
}


LONG = {"ewc", "memo", "aper", "bf16", "hybrid"}


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.long if c in LONG else ()) for c in CASES])
def test_the_same_records_without_a_training_forward(case, tmp_path, small, no_training):
    method, optimizer, variant, more = CASES[case]
    spec = optimized(small, method, optimizer, variant, **more)
    then, now = run_and_told(tmp_path / "r", spec, small), Recording()
    no_training()
    reports = [report for report, _ in again(tmp_path / "r", row_of(tmp_path / "r"), now)]
    assert now.told == then.told
    assert [report.stage for report in reports] == [1, 2, 3]
    assert then.outcome is not None
    assert {k: then.outcome.measures[k] for k in reports[-1].measures} == reports[-1].measures


def test_whoever_looks_sees_every_step_with_its_learner(tmp_path, small):
    spec = small.spec("finetune", "zo-sgd")
    run_into(tmp_path / "r", spec, small)
    seen: list[Any] = []
    walk = again(tmp_path / "r", row_of(tmp_path / "r"), Recording(), lambda *at: seen.append(at))
    learners = [learner for _, learner in walk]
    assert [(task.index, steps) for _, task, steps in seen] == [(1, 1), (1, 2), (2, 3), (2, 4), (3, 5), (3, 6)]
    assert {id(learner) for learner, *_ in seen} == {id(learner) for learner in learners}


@pytest.mark.parametrize("stage", [1, 2])
def test_a_stopped_trial_is_walked_as_far_as_it_came(stage, tmp_path, small, no_training):
    then, now = run_and_told(tmp_path / "r", small.spec("ease", "zo-sgd"), small, stage), Recording()
    no_training()
    assert len(list(again(tmp_path / "r", row_of(tmp_path / "r"), now))) == stage
    assert now.told == then.told


def test_a_step_that_is_missing_is_not_trained(tmp_path, small, no_training):
    spec = small.spec("finetune", "zo-sgd")
    run_into(tmp_path / "r", spec, small)
    row = row_of(tmp_path / "r")
    other = small.spec("finetune", "zo-sgd", train__epochs=2)
    no_training()
    with pytest.raises(Lacking, match="task 1, step 2: no table has this step"):
        list(again(tmp_path / "r", row | {"spec": other.to_json()}, Recording()))


def test_steps_that_the_trial_does_not_take_are_refused(tmp_path, small):
    spec = small.spec("finetune", "zo-sgd", train__epochs=2)
    run_into(tmp_path / "r", spec, small)
    row = row_of(tmp_path / "r") | {"spec": small.spec("simplecil", "zo-sgd").to_json()}
    with pytest.raises(Lacking, match="12 steps more"):
        list(again(tmp_path / "r", row, Recording()))


def test_a_first_order_trial_has_nothing_to_take(tmp_path, small):
    run_into(tmp_path / "r", small.spec("finetune", "fo-sgd"), small)
    with pytest.raises(ZfscaleError, match="fo-sgd is first-order"):
        list(again(tmp_path / "r", row_of(tmp_path / "r"), Recording()))
