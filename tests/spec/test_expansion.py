"""What the trials of a large file share is made and checked once, and no trial is the poorer for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.spec.test_spec_space import VALIDATED, sweep
from zfscale.errors import SpecError
from zfscale.spec import OptimizerSpec, TrainSpec, TrialSpec
from zfscale.spec.checks import training
from zfscale.spec.fork import ForkSpec
from zfscale.spec.kept import MOST, Kept
from zfscale.spec.owners import CHOICES, kind
from zfscale.zo.catalogue import OPTIMIZERS

SPACE: dict[str, Any] = {
    "method.name": {"grid": ["ease", "aper"]},
    "optimizer.lr": {"loguniform": [1e-5, 0.1]},
    "train.epochs": {"grid": [1, 2]},
    "seed": {"grid": [0, 1]},
}


def test_trials_share_the_blocks_in_which_they_do_not_differ(tmp_path: Path) -> None:
    made = sweep(tmp_path, SPACE, search={"samples": 4}, stream=VALIDATED).trials
    assert len(made) == 32
    for name, count in {"model": 1, "stream": 1, "method": 2, "train": 2, "engine": 1}.items():
        assert len({id(getattr(trial, name)) for trial in made}) == count, name


def test_the_id_of_a_trial_is_the_hash_of_its_whole_json_without_defaults(tmp_path: Path) -> None:
    space = {**SPACE, "engine": {"grid": [{}, {"offload": "none"}]}}
    made = list(sweep(tmp_path, space, search={"samples": 2}, stream={**VALIDATED, "class_order_seed": None}).trials)
    origin = {"trial": "0" * 12, "step": 3, "results": "elsewhere", "seed": 7, "spec": json.loads(made[0].to_json())}
    made.append(made[0].model_copy(update={"fork": ForkSpec(**origin)}))
    for trial in made:
        own = trial.model_dump(exclude_defaults=True, exclude={"fork": set(ForkSpec.ELSEWHERE)})
        text = json.dumps(own, sort_keys=True, separators=(",", ":"))
        assert trial.trial_id == hashlib.sha256(text.encode()).hexdigest()[:12]
        assert TrialSpec.from_json(trial.to_json()).trial_id == trial.trial_id


def test_a_copy_of_a_block_is_written_anew() -> None:
    one = OptimizerSpec(name="zo-sgd", lr=0.1)
    assert one.canonical == '{"lr":0.1,"name":"zo-sgd"}'
    assert one.model_copy(update={"lr": 0.2}).canonical == '{"lr":0.2,"name":"zo-sgd"}'
    assert one.model_copy().canonical == one.canonical


def test_every_wrong_value_is_told_though_trials_that_share_it_are_checked_once(tmp_path: Path) -> None:
    space = {
        "optimizer": {"grid": [{"name": "zo-sgd-sign", "sign": "projected", "clip": clip} for clip in (0, 1, 2.5)]},
        "train.batch_size": {"grid": [8, 0]},
        "seed": {"grid": [0, 1, -1]},
    }
    with pytest.raises(SpecError) as told:
        sweep(tmp_path, space)
    text = str(told.value)
    for place in ("optimizer.grid[1].clip", "optimizer.grid[2].clip", "batch_size.grid[1]", "seed.grid[2]"):
        assert place in text
    assert "optimizer.grid[0]" not in text
    assert "seed.grid[0]" not in text


def test_a_seed_that_orders_the_classes_is_each_trial_s_own(tmp_path: Path) -> None:
    stream = {**VALIDATED, "class_order_seed": None}
    made = sweep(tmp_path, {"seed": {"grid": [0, 1, 2]}}, stream=stream).trials
    assert [trial.stream.class_order_seed for trial in made] == [0, 1, 2]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_goes_with_an_optimizer_follows_from_its_kind(name: str) -> None:
    """Real numbers decide by whether they are 0 alone."""
    numbers = [key for key in OptimizerSpec.model_fields if key not in CHOICES]
    few: dict[str, Any] = dict.fromkeys(numbers, 0.25)
    many: dict[str, Any] = dict.fromkeys(numbers, 0.75)
    one, other = OptimizerSpec(name=name, **few), OptimizerSpec(name=name, **many)
    assert kind(one) == kind(other) != kind(OptimizerSpec(name=name, **{**few, "clip": 0.0}))
    assert training(one, TrainSpec(epochs=1, batch_size=8)) == training(other, TrainSpec(epochs=1, batch_size=8))
    facts = OPTIMIZERS[name]
    for look in (facts.options, facts.forwards, facts.stages, facts.states, facts.queries):
        assert look(one) == look(other)


def test_what_is_kept_is_of_an_object_not_of_its_value_and_bounded() -> None:
    kept, values = Kept[int](), [[i] for i in range(MOST + 2)]
    assert [kept.of((value,), lambda v=value: v[0]) for value in values] == list(range(MOST + 2))  # type: ignore[misc]
    assert kept.of((values[0],), lambda: -1) == 0
    assert kept.of(([0],), lambda: -1) == -1
    assert kept.of((values[-1],), lambda: -1) == -1  # beyond the bound


def test_trials_share_the_names_of_their_fields_and_copies_have_their_own(tmp_path: Path) -> None:
    one, other = sweep(tmp_path, {"optimizer.lr": {"grid": [0.1, 0.2]}}).trials
    assert one.model_fields_set is other.model_fields_set
    assert one.optimizer.model_fields_set is other.optimizer.model_fields_set
    before = set(one.model_fields_set)
    copied = one.model_copy(update={"seed": 1})
    assert copied.model_fields_set == before | {"seed"}
    assert one.model_fields_set == before
