"""Costs: forwards exactly, memory roughly."""

from __future__ import annotations

import pytest

from tests.conftest import OPTIMIZERS, Memory, sweep_file
from zfscale import spec as specs
from zfscale.spec import OptimizerSpec
from zfscale.sweep.dry_run import describe
from zfscale.trial import cost as plan
from zfscale.trial import run as trial
from zfscale.trial.inputs import Inputs
from zfscale.zo.catalogue import optimizer


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"name": "fo-adam"}, (1, 1)),
        ({"name": "zo-sgd"}, (2, 2)),
        ({"name": "zo-sgd", "queries": 4}, (8, 8)),
        ({"name": "zo-adam-sign", "queries": 4, "sides": 1}, (5, 5)),
        ({"name": "zo-sgd-conserve"}, (4, 5)),
        ({"name": "zo-adam-conserve", "sides": 1}, (3, 4)),
        ({"name": "forward-grad", "queries": 2}, (2, 2)),
        ({"name": "forward-grad-adam-sign", "queries": 2}, (2, 2)),
        ({"name": "forward-grad-conserve", "queries": 2}, (3, 4)),  # a dual forward has seen L(theta)
        ({"name": "forward-grad-adam-conserve"}, (2, 3)),
        ({"name": "zo-adamm-conserve", "queries": 2}, (6, 7)),
        ({"name": "zo-adamm-conserve", "queries": 2, "sides": 1}, (4, 5)),
    ],
)
def test_forwards_per_step(given, expected):
    o = OptimizerSpec(lr=0.1, **given)
    assert optimizer(o.name).forwards(o) == expected


def test_the_plan_agrees_with_what_trials_do(tmp_path, tiny_vit, image_folder):
    space = {
        "method.name": {"grid": ["finetune", "simplecil", "aper", "ease"]},
        "optimizer": {"grid": [{"name": n, "lr": lr} for n, lr in OPTIMIZERS.items()][:4]},
    }
    sweep = specs.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, space=space))
    inputs = Inputs(sweep.trials)
    for spec in sweep.trials:
        cost = plan.cost(spec, inputs)
        outcome = trial.run(spec, *inputs.of(spec), Memory())
        assert outcome.forwards is not None
        assert cost.least <= outcome.forwards <= cost.most
        assert cost.memory_bytes == pytest.approx(outcome.peak_memory_bytes, rel=0.6)
    text = describe(sweep)
    assert len(text.splitlines()) == 14
    assert text.splitlines()[-1].startswith("13 trials, 13 to run")  # simplecil has no optimizer: it is run once


@pytest.mark.parametrize("optimizer", ["zo-adamm-conserve", "fo-adam"])
def test_a_hybrid_costs_both_of_its_phases(optimizer, small):
    """Of 3 tasks in 2 steps an epoch, one epoch by backpropagation, then two more."""
    phase = None if optimizer == "fo-adam" else {"name": "fo-sgd", "lr": 0.1, "epochs": 1}
    spec = small.spec("ease", optimizer, train__epochs=3, optimizer__first_order=phase)
    cost = plan.cost(spec, Inputs([spec]))
    assert (cost.least, cost.most) == ((18, 18) if phase is None else (6 + 12 * 4, 6 + 12 * 5))
    assert cost.least <= small.run(spec).outcome.forwards <= cost.most


@pytest.mark.parametrize("optimizer", ["fo-adam", "zo-sgd"])
def test_at_rate_zero_nothing_is_to_be_done(optimizer, small):
    spec = small.spec("ease", optimizer, optimizer__lr=0)
    assert (plan.cost(spec, Inputs([spec])).most, small.run(spec).outcome.forwards) == (0, 0)


def test_what_is_expected_of_many_trials_is_the_middle_of_what_each_costs(tmp_path, tiny_vit, image_folder):
    """Also where methods, rates, class orders and sizes of a batch differ, or nothing is trained."""
    space = {
        "method.name": {"grid": ["simplecil", "finetune", "rehearsal"]},
        "optimizer": {"grid": [{"name": "zo-sgd-conserve", "lr": 0}, {"name": "zo-sgd-conserve", "lr": 0.1}]},
        "stream.class_order_seed": {"grid": [0, 1]},
        "train.batch_size": {"grid": [4, 16]},
    }
    sweep = specs.load(
        sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, method={"name": "simplecil"}, optimizer={}, space=space)
    )
    inputs = Inputs(sweep.trials)
    costs = {trial.trial_id: plan.cost(trial, inputs) for trial in sweep.trials}
    assert plan.expected(sweep.trials, inputs) == {name: (c.least + c.most) / 2 for name, c in costs.items()}
    assert len({c.least for c in costs.values()}) > 3
