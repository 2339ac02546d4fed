"""Template + space -> trials: what varies, what stays as it was, and what an override fixes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from zfscale.errors import SpecError
from zfscale.spec import Sweep, TrialSpec, load
from zfscale.spec.distributions import Choice, LogUniform, QUniform, RandInt, Uniform
from zfscale.spec.schema import TEMPLATE_PATHS
from zfscale.zo.catalogue import OPTIMIZERS

TEMPLATE: dict[str, Any] = {
    "name": "s",
    "model": {"name": "embedded/vit-nano"},
    "stream": {"dataset": "mnist5k", "tasks": 5},
    "method": {"name": "ease"},
    "optimizer": {"name": "zo-sgd", "lr": 0.001, "eps": 0.01},
    "train": {"epochs": 1, "batch_size": 8},
}

VALIDATED: dict[str, Any] = {**TEMPLATE["stream"], "validation": 0.2}


def sweep(tmp_path: Path, space: dict[str, Any], *overrides: str, **blocks: Any) -> Sweep:
    file = tmp_path / "s.yaml"
    file.write_text(yaml.safe_dump({**TEMPLATE, **blocks, "space": space}, sort_keys=False))
    return load(file, overrides)


def column(result: Sweep, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(trial.leaves()[name] for name in names) for trial in result.trials]


def test_a_copy_of_a_trial_has_an_id_of_its_own(tmp_path: Path) -> None:
    (one,) = sweep(tmp_path, {}).trials
    other = one.model_copy(update={"seed": 7})
    assert one.trial_id != other.trial_id == sweep(tmp_path, {}, "seed=7").trials[0].trial_id
    assert one.model_copy() == one == TrialSpec.from_json(one.to_json())


def test_grids_cross_with_the_first_path_outermost(tmp_path: Path) -> None:
    result = sweep(tmp_path, {"method.name": {"grid": ["ease", "aper"]}, "seed": {"grid": [0, 1, 2]}})
    assert column(result, "method.name", "seed") == [(m, s) for m in ("ease", "aper") for s in (0, 1, 2)]


def test_a_block_is_merged_over_the_template_and_a_leaf_wins_over_its_block(tmp_path: Path) -> None:
    space = {
        "optimizer.lr": {"grid": [0.5]},
        "optimizer": {"grid": [{"name": "fo-sgd", "lr": 0.05}, {"queries": 4}]},
    }
    names = ("optimizer.name", "optimizer.lr", "optimizer.eps", "optimizer.queries")
    assert column(sweep(tmp_path, space), *names) == [("fo-sgd", 0.5, 0.01, 1), ("zo-sgd", 0.5, 0.01, 4)]


def test_the_space_may_supply_what_the_template_lacks(tmp_path: Path) -> None:
    space = {"optimizer": {"grid": [{"name": "fo-sgd"}]}, "optimizer.lr": {"grid": [0.1]}}
    assert column(sweep(tmp_path, space, optimizer={}), "optimizer.lr") == [(0.1,)]
    with pytest.raises(SpecError, match=r"optimizer\.grid\[0\]\.lr: missing"):
        sweep(tmp_path, {"optimizer": {"grid": [{"name": "fo-sgd"}]}}, optimizer={})


def test_a_scalar_for_a_block_is_refused_even_where_a_leaf_would_hide_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"space\.method\.grid\[0\]: expected a mapping .* got 'ease'"):
        sweep(tmp_path, {"method": {"grid": ["ease"]}, "method.name": {"grid": ["aper"]}})


def test_equal_trials_are_one_trial(tmp_path: Path) -> None:
    result = sweep(tmp_path, {"optimizer.lr": {"grid": [0.001, 0.1, 1e-3]}}, search={"samples": 5}, stream=VALIDATED)
    assert column(result, "optimizer.lr") == [(0.001,), (0.1,)]


ALL: dict[str, Any] = {"optimizer": {"grid": [{"name": "fo-sgd", "lr": 0}, {"name": "fo-adam"}, {"name": "zo-sgd"}]}}


def test_what_trains_nothing_is_run_once_a_seed(tmp_path: Path) -> None:
    """The way to write controls: one point of rate 0, crossed with all methods and seeds."""
    space = {"method.name": {"grid": ["simplecil", "ease"]}, **ALL, "seed": {"grid": [0, 1]}}
    rows = column(
        sweep(tmp_path, space, optimizer={"lr": 0.1}), "method.name", "optimizer.name", "optimizer.lr", "seed"
    )
    trained = [("ease", name, 0.1, seed) for name in ("fo-adam", "zo-sgd") for seed in (0, 1)]
    assert rows == [(method, "fo-sgd", 0, seed) for method in ("simplecil", "ease") for seed in (0, 1)] + trained


def test_what_trains_nothing_has_no_epochs(tmp_path: Path) -> None:
    space = {**ALL, "train.epochs": {"grid": [1, 2]}}
    rows = column(sweep(tmp_path, space, optimizer={"lr": 0.1}), "optimizer.name", "train.epochs")
    assert rows == [("fo-sgd", 1), ("fo-adam", 1), ("fo-adam", 2), ("zo-sgd", 1), ("zo-sgd", 2)]


def test_a_pretrained_model_as_it_is_is_run_once(tmp_path: Path) -> None:
    """Zero-shot makes the same model as its kin, with an adapter too, and trains nothing of it."""
    stream = {"kind": "domain_incremental", "domains": [{"name": "licenses"}], "block_size": 8}
    model = {"name": "embedded/lm-nano", "train": "adapter"}
    space = {"method.name": {"grid": ["zero-shot", "sequential"]}, **ALL}
    made = sweep(tmp_path, space, optimizer={"lr": 0.1}, stream=stream, model=model, search={"metric": "final_loss"})
    trained = [("sequential", name, True) for name in ("fo-adam", "zo-sgd")]
    rows = [(trial.method.name, trial.optimizer.name, trial.trains) for trial in made.trials]
    assert rows == [("zero-shot", "fo-sgd", False), ("sequential", "fo-sgd", False), *trained]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_may_have_rate_zero_and_one_of_them_does(tmp_path: Path, name: str) -> None:
    grid = {"grid": [{"name": name, "lr": 0}, {"name": "fo-adamw", "lr": 0}]}
    assert column(sweep(tmp_path, {"optimizer": grid}, optimizer={}), "optimizer.name") == [(name,)]


def test_a_hybrid_trains_nothing_where_both_rates_are_zero(tmp_path: Path) -> None:
    phase = {"name": "fo-sgd", "epochs": 1}
    grid = [{"first_order": {**phase, "lr": lr}} for lr in (0, 0.1)]
    trials = sweep(tmp_path, {"optimizer": {"grid": [{}, *grid]}}, optimizer={"name": "zo-sgd", "lr": 0}).trials
    assert [trial.trains for trial in trials] == [False, True]


def test_a_grid_that_grows_leaves_all_other_trials_as_they_were(tmp_path: Path) -> None:
    space: dict[str, Any] = {
        "method.name": {"grid": ["ease"]},
        "optimizer.lr": {"loguniform": [1e-5, 0.1]},
        "optimizer.eps": {"uniform": [0.1, 0.2]},
        "seed": {"grid": [0, 1]},
    }
    before = {trial.trial_id for trial in sweep(tmp_path, space, search={"samples": 3}, stream=VALIDATED).trials}
    space["method.name"]["grid"] = ["aper", "ease"]
    space["seed"]["grid"] = [7, 0, 1]
    after = {trial.trial_id for trial in sweep(tmp_path, space, search={"samples": 4}, stream=VALIDATED).trials}
    assert len(before) == 6
    assert len(after) == 24
    assert before < after


def test_seeds_share_their_draws_and_grid_points_do_not(tmp_path: Path) -> None:
    space = {
        "seed": {"grid": [0, 1, 2]},
        "method.name": {"grid": ["ease", "aper"]},
        "optimizer.lr": {"loguniform": [1e-5, 0.1]},
    }
    rows = column(sweep(tmp_path, space, search={"samples": 2}, stream=VALIDATED), "method.name", "optimizer.lr")
    assert len(rows) == 12
    assert len(set(rows)) == len({lr for _, lr in rows}) == 4


def test_draws_are_the_same_on_every_machine(tmp_path: Path) -> None:
    result = sweep(tmp_path, {"optimizer.lr": {"loguniform": [1e-5, 0.1]}}, search={"samples": 2}, stream=VALIDATED)
    assert column(result, "optimizer.lr") == [(1.31727e-05,), (0.000105155,)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (Choice(choice=["a", "b", "c"]), {"a", "b", "c"}),
        (RandInt(randint=[2, 5]), {2, 3, 4}),
        (QUniform(quniform=[16, 64, 16]), {16, 32, 48, 64}),
        (QUniform(quniform=[0.1, 0.35, 0.1]), {0.1, 0.2, 0.3}),
    ],
)
def test_a_draw_covers_its_values_and_nothing_else(values: Any, expected: set[Any]) -> None:
    drawn = {values.draw(i / 1000) for i in range(1000)}
    assert drawn == expected
    assert {type(value) for value in drawn} == {type(value) for value in expected}


def test_continuous_draws_are_monotone_and_stay_inside() -> None:
    us = [0.0, 0.25, 0.5, 0.75, 1 - 2**-53]
    assert [Uniform(uniform=[0, 4]).draw(u) for u in us[:4]] == [0, 1, 2, 3]
    logs = [math.log10(LogUniform(loguniform=[1e-4, 1]).draw(u)) for u in us]
    assert logs == pytest.approx([-4, -3, -2, -1, 0], abs=1e-6)
    assert LogUniform(loguniform=[1.23456789e-4, 1]).draw(0.0) >= 1.23456789e-4


def test_a_space_that_nobody_means_to_run_is_refused(tmp_path: Path) -> None:
    space = {path: {"grid": list(range(1, 101))} for path in ("train.epochs", "train.batch_size", "seed")}
    with pytest.raises(SpecError, match="space: 1000000 combinations"):
        sweep(tmp_path, space)


def test_an_override_of_the_template_fixes_the_path(tmp_path: Path) -> None:
    space = {"optimizer.lr": {"loguniform": [1e-5, 0.1]}, "method.name": {"grid": ["ease", "aper"]}}
    result = sweep(tmp_path, space, "optimizer.lr=1e-2")
    assert column(result, "method.name", "optimizer.lr") == [("ease", 0.01), ("aper", 0.01)]
    assert "optimizer.lr" not in result.spec.space
    whole = sweep(tmp_path, space, "optimizer={name: fo-adam, lr: 1}")
    assert column(whole, "optimizer.name", "optimizer.lr", "optimizer.eps")[0] == ("fo-adam", 1.0, 0.001)
    assert "optimizer.lr" not in whole.spec.space


def test_an_override_reaches_inside_the_mappings_of_a_block_above_it(tmp_path: Path) -> None:
    space = {"optimizer": {"grid": [{"name": "fo-sgd", "lr": 0.05}, {"name": "zo-sgd"}]}}
    result = sweep(tmp_path, space, "optimizer.lr=3")
    assert column(result, "optimizer.name", "optimizer.lr") == [("fo-sgd", 3.0), ("zo-sgd", 3.0)]


def test_an_override_of_the_space_replaces_the_distribution(tmp_path: Path) -> None:
    space = {"optimizer.lr": {"loguniform": [1e-5, 0.1]}}
    result = sweep(tmp_path, space, "space.optimizer.lr.grid=[1, 2e0]", "space.seed.grid=[5]")
    assert column(result, "optimizer.lr", "seed") == [(1.0, 5), (2.0, 5)]
    assert len(sweep(tmp_path, space, "space={}", "output.wandb.mode=disabled").trials) == 1


def test_later_overrides_win(tmp_path: Path) -> None:
    result = sweep(tmp_path, {}, "search.samples=2", "optimizer.lr=1", "optimizer.lr=2", "output.dir=there")
    assert column(result, "optimizer.lr") == [(2.0,)]
    assert (result.spec.output.dir, result.spec.search.samples) == ("there", 2)


def test_a_bound_of_until_can_be_set_by_itself(tmp_path: Path) -> None:
    result = sweep(tmp_path, {}, "search.until.avg_accuracy=0.9", "search.until.last_accuracy=0.8")
    assert result.spec.search.until == {"avg_accuracy": 0.9, "last_accuracy": 0.8}


def test_the_id_of_a_trial_never_changes(tmp_path: Path) -> None:
    """A literal: a change here orphans the results of every sweep ever run."""
    trial = sweep(tmp_path, {}).trials[0]
    assert trial.trial_id == "77f74db7cabe"
    assert sweep(tmp_path, {}, "optimizer.queries=1", "seed=0").trials[0].trial_id == trial.trial_id
    assert sweep(tmp_path, {}, "optimizer.queries=2").trials[0].trial_id != trial.trial_id
    assert sweep(tmp_path, {}, "output.dir=elsewhere", "name=other").trials[0].trial_id == trial.trial_id


def test_a_trial_survives_json(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    override = f"stream={{dataset: {{path: {tmp_path}, format: imagefolder}}, tasks: 1}}"
    for trial in (sweep(tmp_path, {}).trials[0], sweep(tmp_path, {}, override).trials[0]):
        again = TrialSpec.from_json(trial.to_json())
        assert again == trial
        assert again.trial_id == trial.trial_id


def test_new_options_with_their_defaults_keep_old_ids() -> None:
    """The literal was computed before these existed: sign, first_order, micro_batch_size, objective, bf16."""
    dataset = {"path": "data", "format": "imagefolder"}
    old: dict[str, Any] = {
        "model": {"name": "embedded/vit-nano", "input_range": "unit"},
        "stream": {"kind": "class_incremental", "dataset": dataset, "tasks": 3, "class_order_seed": 7},
        "method": {"name": "ease", "bottleneck": 8, "adapter_scale": 0.5, "adapter_dropout": 0.2}
        | {"alpha": 0.3, "beta": 0.1},
        "optimizer": {"name": "zo-adamm", "lr": 1e-3, "eps": 1e-2, "queries": 4, "noise": "gaussian", "sides": 1}
        | {"momentum": 0.5, "beta1": 0.8, "beta2": 0.99, "weight_decay": 0.01, "history": 0.4, "sparsity": 0.5}
        | {"clip": 1.0, "schedule": "cosine"},
        "train": {"epochs": 2, "batch_size": 8, "precision": "fp32"},
        "seed": 5,
    }
    assert TrialSpec.model_validate(old).trial_id == "4e7fcc0fb54c"
    old["optimizer"] |= {"sign": "elementwise", "first_order": None}
    old["train"] |= {"micro_batch_size": None, "objective": "cross_entropy"}
    assert TrialSpec.model_validate(old).trial_id == "4e7fcc0fb54c"
    old["train"] |= {"micro_batch_size": 4}
    assert TrialSpec.model_validate(old).trial_id != "4e7fcc0fb54c"


def test_leaves_name_every_field_and_are_scalars(tmp_path: Path) -> None:
    leaves = sweep(tmp_path, {}).trials[0].leaves()
    assert leaves["optimizer.beta2"] == 0.999
    assert leaves["train.precision"] == "fp32"
    scalars = {path for path in TEMPLATE_PATHS if not any(p.startswith(f"{path}.") for p in TEMPLATE_PATHS)}
    inside = {path for path in scalars if path.startswith(("stream.dataset.", "stream.upstream."))}
    assert set(leaves) == (scalars - inside) | {"stream.dataset", "stream.upstream"}
    given = {"stream.dataset", "stream.tasks"}
    assert {path for path, value in leaves.items() if value is None} == set(TrialSpec.NULLABLE) - given
    assert all(isinstance(value, (str, int, float)) for path, value in leaves.items() if path not in TrialSpec.NULLABLE)


def test_leaves_that_may_be_null_have_the_types_that_are_promised(tmp_path: Path) -> None:
    phase = "optimizer.first_order={name: fo-adam, lr: 1e-2, epochs: 1}"
    images = sweep(tmp_path, {}, phase, "train.micro_batch_size=3").trials[0].leaves()
    texts = TrialSpec.model_validate(
        {
            "model": {"name": "embedded/lm-nano"},
            "stream": {
                "kind": "domain_incremental",
                "domains": [{"name": "a", "dataset": {"path": "*.txt", "format": "text"}}, {"name": "licenses"}],
                "upstream": {"name": "docstrings"},
                "order_seed": 1,
                "block_size": 64,
                "tokens_per_domain": 640,
                "images_per_domain": 5,
                "first_task_classes": 4,
                "task_sizes": [4, 2],
                "class_order": ["b", 0],
                "validation": 40,
                "old_loss_every": 5,
            },
            "method": {"name": "replay"},
            "optimizer": {"name": "fo-adamw", "lr": 1e-3},
            "train": {"epochs": 1, "batch_size": 8},
            "fork": {"trial": "0123456789ab", "step": 3, "results": "r", "seed": 1},
        }
    ).leaves()
    assert (texts["stream.domains"], texts["stream.upstream"]) == ("a, licenses", "docstrings")
    assert (texts["stream.task_sizes"], texts["stream.class_order"]) == ("4, 2", "b, 0")
    found = {path: texts[path] if images[path] is None else images[path] for path in TrialSpec.NULLABLE}
    assert {path: type(value) for path, value in found.items()} == TrialSpec.NULLABLE
