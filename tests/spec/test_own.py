"""Which trials of a sweep read the same, so that what they read is looked at once."""

from __future__ import annotations

from pathlib import Path

from tests.spec.test_spec_space import sweep
from zfscale.spec import TrialSpec
from zfscale.spec.own import own_paths, unlike
from zfscale.trial.inputs import data_key, model_key

SPACE = {
    "method.name": {"grid": ["ease", "aper"]},
    "optimizer.name": {"grid": ["zo-sgd", "zo-adam"]},
    "optimizer.lr": {"loguniform": [1e-5, 0.1]},
    "stream.tasks": {"grid": [2, 5]},
    "seed": {"grid": [0, 1, 2]},
}


def reads(trial: TrialSpec) -> tuple[str, ...]:
    return (trial.method.name, trial.optimizer.name, model_key(trial), data_key(trial), *own_paths(trial))


def test_one_trial_stands_for_all_that_read_the_same(tmp_path: Path) -> None:
    trials = sweep(tmp_path, SPACE, search={"samples": 4}, stream={"dataset": "digits", "validation": 0.2}).trials
    found = unlike(trials)
    assert len(trials) == 96
    assert len(found) == 8
    assert len({(*reads(trial), str(trial.stream.tasks)) for trial in found}) == 8
    assert {reads(trial) for trial in found} == {reads(trial) for trial in trials}
    assert found[0] is trials[0], "problems are told of the first"


def test_equal_trials_that_share_no_blocks_are_all_looked_at() -> None:
    text = '{"model": {"name": "embedded/vit-nano"}, "stream": {"dataset": "digits", "tasks": 5}, "method": {"name":'
    text += ' "ease"}, "optimizer": {"name": "zo-sgd", "lr": 0.1}, "train": {"epochs": 1, "batch_size": 8}}'
    made = (TrialSpec.model_validate_json(text) for _ in range(3))
    assert len(unlike(made)) == 3
