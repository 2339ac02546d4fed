"""A fork has from its parent what its file does not say, and may differ in what decides none of the shared steps."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from zfscale import spec
from zfscale.errors import SpecError
from zfscale.results.parents import lookup
from zfscale.spec import TrialSpec
from zfscale.spec.fork import ForkSpec, Origin, Unforkable
from zfscale.spec.inheriting import Parents

SWEEPS = Path(__file__).parents[2] / "sweeps"
ID = "0123456789ab"
PARENT: dict[str, Any] = {
    "model": {"name": "embedded/vit-nano"},
    "stream": {"dataset": "digits", "tasks": 5, "class_order_seed": 3},
    "method": {"name": "ewc", "penalty": 5.0},
    "optimizer": {"name": "zo-adam", "lr": 0.001, "beta1": 0.8},
    "train": {"epochs": 2, "batch_size": 16},
    "seed": 4,
}


def found(results: str | None, trial: str, step: int, changes: dict[str, Any] | None = None) -> Origin:
    """A parent of 100 steps, of which 20 are those of a task."""
    if trial != ID:
        raise Unforkable("trial", f"no trial {trial} in {results}")
    if step > 100:
        raise Unforkable("step", "took 100 steps")
    parent = {
        key: {**block, **(changes or {}).get(key, {})} if isinstance(block, dict) else block
        for key, block in PARENT.items()
    }
    return Origin(TrialSpec.model_validate(parent).to_json(), step // 20 + 1, results or "results/x")


def load(tmp_path: Path, changes: dict[str, Any] | None = None, **blocks: Any) -> spec.Sweep:
    """A sweep of a file that has a fork, unless it says otherwise."""
    given = {"name": "f", "fork": {"trial": ID, "step": 30}, **blocks}
    (tmp_path / "f.yaml").write_text(yaml.safe_dump(given, sort_keys=False))

    return spec.load(
        tmp_path / "f.yaml", parents=lambda *_: lambda results, trial, step: found(results, trial, step, changes)
    )


def problem(tmp_path: Path, changes: dict[str, Any] | None = None, **blocks: Any) -> str:
    with pytest.raises(SpecError) as error:
        load(tmp_path, changes, **blocks)
    return str(error.value)


def fork(trial: TrialSpec) -> ForkSpec:
    """Where a trial branches off."""
    assert trial.fork is not None
    return trial.fork


def parent(trial: TrialSpec) -> TrialSpec:
    """Of a trial that is a fork."""
    assert trial.parent is not None
    return trial.parent


def test_what_a_file_does_not_say_is_the_parents(tmp_path):
    (trial,) = load(tmp_path).trials
    whole = TrialSpec.model_validate(PARENT)
    assert trial.parent == whole
    assert trial.model_dump(exclude={"fork"}) == whole.model_dump(exclude={"fork"})
    assert fork(trial).model_dump(exclude={"spec"}) == {
        "trial": ID,
        "step": 30,
        "results": "results/x",
        "seed": None,
        "tasks": 2,
    }
    assert TrialSpec.from_json(trial.to_json()) == trial


def test_an_id_is_of_the_parents_id_and_not_of_its_place(tmp_path):
    here, there = (load(tmp_path, fork={"trial": ID, "step": 30, **more}).trials[0] for more in ({}, {"results": "a"}))
    assert here.trial_id == there.trial_id != TrialSpec.model_validate(PARENT).trial_id
    others = [load(tmp_path, fork={"trial": ID, "step": 31}), load(tmp_path, fork={"trial": ID, "step": 30, "seed": 1})]
    assert len({here.trial_id, *(sweep.trials[0].trial_id for sweep in others)}) == 3


def test_of_another_optimizer_no_option_is_inherited(tmp_path):
    (same,) = load(tmp_path, optimizer={"lr": 0.1}).trials
    assert (same.optimizer.name, same.optimizer.lr, same.optimizer.beta1) == ("zo-adam", 0.1, 0.8)
    (other,) = load(tmp_path, optimizer={"name": "zo-adamm", "lr": 0.1}).trials
    assert (other.optimizer.name, other.optimizer.beta1) == ("zo-adamm", 0.9)
    assert "optimizer.lr: missing" in problem(tmp_path, optimizer={"name": "zo-sgd"})


def test_a_space_may_vary_forks(tmp_path):
    space = {"fork.step": {"grid": [10, 30]}, "optimizer.lr": {"grid": [0.1, 0.2]}}
    trials = load(tmp_path, fork={"trial": ID}, space=space).trials
    assert [(fork(t).step, t.optimizer.lr) for t in trials] == [(10, 0.1), (10, 0.2), (30, 0.1), (30, 0.2)]
    (one,) = load(tmp_path, fork={}, space={"fork": {"grid": [{"trial": ID, "step": 3}]}}).trials
    assert fork(one).step == 3


def test_a_searcher_proposes_forks(tmp_path, monkeypatch):
    monkeypatch.setattr("zfscale.spec.searchable.find_spec", lambda name: name)  # it is not asked
    search = {"algorithm": "optuna", "samples": 2}
    space = {"optimizer.lr": {"loguniform": [0.001, 0.1]}}
    (cell,) = load(tmp_path, {"stream": {"validation": 0.2}}, search=search, space=space).cells
    (trial,) = cell.trials({"optimizer.lr": 0.05})
    assert (fork(trial).step, trial.optimizer.lr, trial.method.name) == (30, 0.05, "ewc")
    pickle.dumps(Parents(lookup("results", "f")))  # a driver elsewhere makes trials, too


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        ({"seed": 5}, "seed: 5, but the steps that are shared were taken with 4; allowed: 4; fork.seed draws"),
        ({"train": {"epochs": 3}}, "train.epochs: 3, but the steps that are shared were taken with 2; allowed: 2"),
        ({"train": {"batch_size": 8}}, "train.batch_size: 8, but"),
        ({"train": {"precision": "bf16"}}, "train.precision: 'bf16', but"),
        ({"model": {"name": "embedded/vit-mini"}}, "model.name: 'embedded/vit-mini', but"),
        ({"stream": {"dataset": "mnist5k"}}, "stream.dataset: 'mnist5k', but"),
        ({"stream": {"validation": 0.1}}, "stream.validation: 0.1, but"),
        ({"stream": {"kind": "domain_incremental"}}, "stream.kind: 'domain_incremental', but"),
        (
            {"method": {"name": "finetune"}},
            "method.name: 'finetune', but the steps that are shared were taken with 'ewc'",
        ),
        ({"method": {"penalty": 6.0}}, "method.penalty: 6.0, but the steps that are shared were taken with 5.0"),
        ({"optimizer": {"first_order": {"name": "fo-sgd", "lr": 0.1, "epochs": 1}}}, "optimizer.first_order: {"),
        (
            {"optimizer": {"name": "fo-sgd", "lr": 0.1}},
            "'fo-sgd' is first-order; a fork goes on with a forward-only one",
        ),
        ({"optimizer": {"lr": 0.0}}, "optimizer.lr: 0 trains nothing"),
        ({"optimizer": {"betta1": 0.5}}, "optimizer.betta1: unknown key; did you mean 'beta1'"),
        ({"fork": {"trial": "abcdefabcdef", "step": 3, "results": "r"}}, "fork.trial: no trial abcdefabcdef in r"),
        ({"fork": {"trial": ID, "step": 101}}, "fork.step: took 100 steps"),
        ({"fork": {"trial": ID, "step": 0}}, "fork.step: expected an integer >= 1, got 0"),
        ({"fork": {"trial": ID}}, "fork.step: missing; expected an integer >= 1"),
        ({"fork": {"trial": "latest", "step": 1}}, "fork.trial: "),
        ({"fork": {"trial": ID, "step": 3, "spec": {}}}, "fork.spec: unknown key"),
    ],
)
def test_what_decides_the_shared_steps_may_not_differ(blocks, says, tmp_path):
    text = problem(tmp_path, **blocks)
    assert says in text
    (line,) = text.splitlines()
    assert line.startswith(f"{tmp_path}/f.yaml:")


@pytest.mark.parametrize(
    "blocks",
    [
        {"optimizer": {"name": "forward-grad", "lr": 0.1, "schedule": "cosine"}},
        {"train": {"objective": "accuracy", "micro_batch_size": 4}},
        {"stream": {"class_order": list(range(10))}},
        {"stream": {"task_sizes": [2, 2, 6], "old_loss_every": 5}},
        {"seed": 4, "train": {"epochs": 2}},
    ],
)
def test_what_comes_after_the_fork_may_differ(blocks, tmp_path):
    (trial,) = load(tmp_path, **blocks).trials
    for block, options in blocks.items():
        if isinstance(options, dict) and block in TrialSpec.model_fields:
            given = getattr(trial, block).model_dump()
            assert {key: given[key] for key in options} == {
                key: tuple(value) if isinstance(value, list) else value for key, value in options.items()
            }


def test_an_optimizer_of_ones_own_may_be_followed_by_one_of_ours(tmp_path, monkeypatch):
    """Its own options are none of the other's."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "plugins"))
    own = {"optimizer": {"name": "extras.optimizers:SPECTRAL", "lr": 0.1, "decay": 0.25}}
    (trial,) = load(tmp_path, own, optimizer={"name": "zo-sgd", "lr": 0.1}).trials
    assert parent(trial).optimizer.model_extra == {"decay": 0.25}
    (same,) = load(tmp_path, own, optimizer={"lr": 0.2}).trials
    assert (same.optimizer.model_extra, same.optimizer.lr) == ({"decay": 0.25}, 0.2)


def test_a_hybrid_that_cannot_resume_its_phases_cannot_be_forked(tmp_path):
    phase = {"first_order": {"name": "fo-sgd", "lr": 0.1, "epochs": 1}}
    load(tmp_path, {"optimizer": phase})
    assert "optimizer.carry_state: true goes with no fork" in problem(
        tmp_path, {"optimizer": phase | {"carry_state": True}}
    )
    text = problem(tmp_path, {"optimizer": phase}, stream={"old_loss_every": 3})
    assert "stream.old_loss_every: 3 goes with no fork of a hybrid" in text


def test_where_no_results_are_read_a_fork_is_an_error(tmp_path):
    load(tmp_path)
    with pytest.raises(SpecError, match="no results are read here"):
        spec.load(tmp_path / "f.yaml")


def test_the_example_forks_trials_of_another_sweep():
    parents = {trial.trial_id: trial for trial in spec.load(SWEEPS / "vit_classil.yaml").trials}

    def found(results: str | None, trial: str, step: int) -> Origin:
        assert results == "results/vit_classil"
        return Origin(parents[trial].to_json(), 2, results)

    sweep = spec.load(SWEEPS / "vit_classil_fork.yaml", parents=lambda *_: found)
    assert {(t.seed, t.optimizer.name, t.optimizer.lr) for t in sweep.trials} == {
        (seed, *rest) for seed in range(5) for rest in (("zo-sgd", 0.001), ("zo-sgd", 0.003), ("zo-adam", 0.003))
    }
    assert {(parent(t).method.name, parent(t).optimizer.name) for t in sweep.trials} == {("ease", "zo-sgd")}
