"""`search.scheduler` and `search.until`: names, options, and what ends a sweep."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.spec.test_spec_space import VALIDATED, sweep
from zfscale import registry
from zfscale.errors import SpecError
from zfscale.spec import SearchSpec, json_schema
from zfscale.spec.scheduling import SCHEDULERS, SchedulerSpec


def searched(tmp_path: Path, **search: Any) -> SearchSpec:
    return sweep(tmp_path, {"optimizer.lr": {"grid": [1e-3, 1e-2]}}, search=search, stream=VALIDATED).spec.search


@pytest.mark.parametrize("given", ["asha", {"name": "asha"}, {"name": "asha", "grace": 2, "reduction": 3}])
def test_a_scheduler_is_a_name_or_a_block(tmp_path: Path, given: Any) -> None:
    found = searched(tmp_path, scheduler=given)
    assert found.scheduler == SchedulerSpec(**({"name": given} if isinstance(given, str) else given))
    assert found.judged
    Draft202012Validator(json_schema()).validate({"name": "x", "search": {"scheduler": given}})


def test_by_default_nothing_is_stopped(tmp_path: Path) -> None:
    assert not searched(tmp_path).judged
    assert not searched(tmp_path, scheduler="none").judged
    assert searched(tmp_path, until={"avg_accuracy": 0.9}).judged


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"scheduler": "ashaa"}, r"search\.scheduler\.name: unknown value 'ashaa'; did you mean 'asha'\?"),
        ({"scheduler": {"name": "asha", "brackets": 2}}, r"search\.scheduler: 'brackets' has no effect on asha"),
        ({"scheduler": {"name": "hyperband", "brackets": 0}}, r"search\.scheduler\.brackets: expected an integer >= 1"),
        ({"scheduler": {"name": "pbt", "quantile": 0.6}}, r"scheduler\.quantile: expected a number > 0 and <= 0"),
        ({"scheduler": {"name": "pbt", "resample": -1}}, r"scheduler\.resample: expected a number >= 0 and <= 1"),
        ({"scheduler": {"name": "pbt", "reduction": 3}}, r"search\.scheduler: 'reduction' has no effect on pbt"),
        ({"scheduler": {"name": "median", "reduction": 3}}, r"search\.scheduler: 'reduction' has no effect on median"),
        ({"scheduler": {"name": "none", "grace": 1}}, r"search\.scheduler: 'grace' has no effect on none"),
        (
            {"scheduler": {"name": "asha", "reduction": 1}},
            r"search\.scheduler\.reduction: expected a number > 1, got 1",
        ),
        ({"scheduler": {"name": "asha", "grace": 0}}, r"search\.scheduler\.grace: expected an integer >= 1, got 0"),
        (
            {"scheduler": 3},
            r"search\.scheduler: expected a mapping with keys name, every, grace, reduction, brackets, others",
        ),
        ({"until": {"accuracy": 0.9}}, r"search\.until.*accuracy.*avg_accuracy"),
        ({"until": {"avg_accuracy": "high"}}, r"search\.until\.avg_accuracy: expected a number, got 'high'"),
        ({"scheduler": {"name": "asha", "every": -1}}, r"search\.scheduler\.every: expected an integer >= 0, got -1"),
        ({"scheduler": {"name": "none", "every": 5}}, r"search\.scheduler: 'every' has no effect on none"),
        ({"until": 0.9}, r"search\.until: expected a mapping, got 0\.9"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, search: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        searched(tmp_path, **search)


def test_only_trials_that_can_be_taken_up_again_are_stopped_inside_a_stage(tmp_path: Path) -> None:
    search, space = {"scheduler": {"name": "asha", "every": 5}}, {"optimizer.lr": {"grid": [1e-3, 1e-2]}}
    hybrid = {"name": "zo-sgd", "lr": 0.1, "first_order": {"name": "fo-sgd", "lr": 0.1, "epochs": 1}}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"optimizer": hybrid, "train": {"epochs": 2, "batch_size": 8}}, r"a trial with optimizer\.first_order can be"),
        ({"resources": {"workers": 2}}, r"search\.scheduler: every: a trial of 2 workers can be stopped only after"),
    ]
    for blocks, told in wrong:
        with pytest.raises(SpecError, match=told):
            sweep(tmp_path, space, search=search, stream=VALIDATED, **blocks)


def test_trials_keep_their_ids(tmp_path: Path) -> None:
    space = {"optimizer.lr": {"grid": [1e-3, 1e-2]}}
    plain = sweep(tmp_path, space, search={"samples": 1}, stream=VALIDATED).trials
    judged = sweep(tmp_path, space, search={"scheduler": "asha", "until": {"bwt": 0.0}}, stream=VALIDATED).trials
    assert [t.trial_id for t in plain] == [t.trial_id for t in judged]


def test_a_scheduled_sweep_does_not_compare_on_test_images(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"optimizer\.lr would be compared on the test images"):
        sweep(tmp_path, {"optimizer.lr": {"grid": [1e-3, 1e-2]}}, search={"scheduler": "asha"})


@pytest.mark.parametrize(
    ("until", "measures", "reached"),
    [
        ({}, {"avg_accuracy": 1.0}, False),
        ({"avg_accuracy": 0.9}, {"avg_accuracy": 0.9}, True),
        ({"avg_accuracy": 0.9}, {"avg_accuracy": 0.89}, False),
        ({"avg_accuracy": 0.9}, {"avg_accuracy": None}, False),
        ({"avg_accuracy": 0.9}, {}, False),
        ({"avg_accuracy": 0.9}, {"avg_accuracy": math.nan}, False),
        ({"final_loss": 2.0}, {"final_loss": 1.9}, True),
        ({"final_loss": 2.0}, {"final_loss": 2.1}, False),
        ({"avg_accuracy": 0.9, "forgetting": 0.1}, {"avg_accuracy": 0.95, "forgetting": 0.2}, False),
        ({"avg_accuracy": 0.9, "forgetting": 0.1}, {"avg_accuracy": 0.95, "forgetting": 0.1}, True),
    ],
)
def test_until_all_values_are_reached(until: dict[str, float], measures: dict[str, Any], reached: bool) -> None:
    assert SearchSpec(until=until).reached(measures) is reached


def test_every_scheduler_has_a_class_and_options_of_the_block() -> None:
    for facts in SCHEDULERS.values():
        assert not facts.path or isinstance(registry.load(facts.path), type)
        assert set(facts.options) <= set(SchedulerSpec.model_fields)
