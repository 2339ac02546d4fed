"""An optimizer from a user's module, with a direction and an update of its own: trained, told, and replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.zo.own import NU, Lazy, Momentum, Orthogonal
from zfscale.errors import SpecError
from zfscale.sinks.about import About
from zfscale.sinks.fanout import make_sinks
from zfscale.spec import OptimizerSpec, OutputSpec, TrialSpec
from zfscale.spec.schema import WandbSpec
from zfscale.training.trainers import ForwardOnly
from zfscale.trial import run as trial
from zfscale.trial.replay import replay
from zfscale.zo.directions.base import make_directions
from zfscale.zo.leaves import Leaves
from zfscale.zo.step import make_algorithm

NAMES = ["tests.zo.own:MINE", "tests.zo.own:CAREFUL"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[ForwardOnly]:
    """The trainers that are made from here on."""
    found: list[ForwardOnly] = []
    begin = ForwardOnly.__init__

    def spy(self: ForwardOnly, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        found.append(self)

    monkeypatch.setattr(ForwardOnly, "__init__", spy)
    return found


def own(small: Any, name: str, **options: Any) -> TrialSpec:
    spec = small.spec("finetune", "zo-sgd", train={"epochs": 2, "batch_size": 4})
    optimizer = {"name": name, "lr": 0.01, "momentum": 0.5, **options}
    return TrialSpec.model_validate({**spec.model_dump(exclude_defaults=True), "optimizer": optimizer})


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_names_a_direction_and_an_update_of_its_own(name):
    o = OptimizerSpec(name=name, lr=0.01, momentum=0.25)
    algorithm = make_algorithm(o)
    assert algorithm.update == Orthogonal(0.25)
    assert algorithm.conserve == name.endswith("CAREFUL")
    directions = make_directions(o, Leaves.of({"a": (2, 3)}, torch.zeros(6)), seed=4)
    assert isinstance(directions, Lazy)
    assert directions.seed == 4


def test_a_rule_that_says_another_unit_than_its_update_is_refused():
    with pytest.raises(SpecError, match=r"Orthogonal has unit 'leaf', its Rule 'element'"):
        make_algorithm(OptimizerSpec(name="tests.zo.own:MISTAKEN", lr=0.01))


@pytest.mark.parametrize("options", [{}, {"queries": 2, "history": 0.3, "sparsity": 0.4}], ids=["plain", "more"])
@pytest.mark.parametrize("name", NAMES)
def test_a_trial_of_it_is_replayed_bit_for_bit(name, options, small, made, tmp_path):
    """The lazy direction needs the number of every step, the update its state."""
    spec = own(small, name, **options)
    sink = make_sinks(About.of(tmp_path, "s", spec), OutputSpec(wandb=WandbSpec(mode="disabled")))
    sink.close(trial.run(spec, small.base, small.data, sink))
    trained = made[-1]
    steps = replay(tmp_path, spec.trial_id, tmp_path / "end")
    per_task = trained._stepper.problem.directions.step + 1
    assert steps == 3 * per_task
    assert per_task > NU
    again = made[-1]
    assert again is not trained
    assert torch.equal(again.leaves.flat, trained.leaves.flat)
    ours, theirs = trained._stepper.states.by_leaf, again._stepper.states.by_leaf
    assert ours.keys() == theirs.keys()
    for piece, state in ours.items():
        assert isinstance(state, Momentum)
        assert torch.equal(state.mean, theirs[piece].mean)
        assert state.steps == theirs[piece].steps == trained._stepper.taken
    assert load_file(Path(tmp_path / "end" / "zfscale.safetensors"))


def test_its_direction_is_lazy_within_a_task(small, made):
    """The coordinates that the first NU steps leave alone are the same, and others after them."""
    small.run(own(small, NAMES[0]))
    directions = made[0]._stepper.problem.directions
    zeros = []
    for number in range(NU + 1):
        directions.at(number)
        zeros.append(directions.slice(100 + number, 0, directions.total) == 0)
    assert all(torch.equal(zero, zeros[0]) for zero in zeros[:NU])
    assert not torch.equal(zeros[NU], zeros[0])
    assert made[1]._stepper.problem.directions.seed != directions.seed  # each task has subspaces of its own
