"""A trial's id follows from its spec, also where it was asked for before a copy was changed."""

from __future__ import annotations

from zfscale.spec import TrialSpec

GIVEN = {
    "model": {"name": "embedded/vit-nano"},
    "stream": {"dataset": "digits", "tasks": 5},
    "method": {"name": "simplecil"},
    "optimizer": {"name": "zo-sgd", "lr": 1e-3},
    "train": {"epochs": 1, "batch_size": 32},
}


def test_a_changed_copy_has_an_id_of_its_own() -> None:
    trial = TrialSpec.model_validate(GIVEN)
    before = trial.trial_id
    changed = trial.model_copy(update={"seed": trial.seed + 1})
    assert changed.trial_id != before == trial.trial_id
    assert changed.model_copy(update={"seed": trial.seed}).trial_id == before


def test_trials_are_equal_whether_or_not_their_ids_were_asked_for() -> None:
    asked, silent = TrialSpec.model_validate(GIVEN), TrialSpec.model_validate(GIVEN)
    assert asked.trial_id == TrialSpec.from_json(asked.to_json()).trial_id
    assert asked == silent
    assert hash(asked.train) == hash(silent.train)
    assert asked.to_json() == silent.to_json()
