"""The contract of what a trial is made of: methods, optimizers, streams and families of models.

Each class runs small trials of what is under test and asserts what the rest of the package relies on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from zfscale.models.catalogue import family
from zfscale.spec import TrialSpec
from zfscale.streams.catalogue import stream
from zfscale.testing.running import Ran, ran
from zfscale.testing.tiny import tiny_images, tiny_vit
from zfscale.training.snapshots import Snapshots
from zfscale.trial.cost import cost
from zfscale.trial.inputs import Inputs
from zfscale.trial.replay import Taken, rebuild

Block = dict[str, Any]


class TrialContract:
    """A small trial that finishes, repeats, resumes and is rebuilt, bit for bit.

    Blocks that are not given are those of a small class-incremental trial: six classes in three tasks, two steps each.
    """

    model: ClassVar[Block] = {}
    stream: ClassVar[Block] = {}
    method: ClassVar[Block] = {"name": "finetune"}
    optimizer: ClassVar[Block] = {"name": "zo-sgd", "lr": 1e-3}
    train: ClassVar[Block] = {"epochs": 1, "batch_size": 8}

    def blocks(self, folder: Path) -> dict[str, Block]:
        """The trial's blocks; a directory to make files in is given."""
        images = {"path": str(tiny_images(folder / "images")), "format": "imagefolder"}
        own = type(self)
        return {
            "model": own.model or {"name": str(tiny_vit(folder / "vit"))},
            "stream": own.stream or {"dataset": images, "tasks": 3},
            "method": own.method,
            "optimizer": own.optimizer,
            "train": own.train,
        }

    @pytest.fixture(scope="class")
    def spec(self, tmp_path_factory: pytest.TempPathFactory) -> TrialSpec:
        """The trial under test."""
        return TrialSpec.model_validate(self.blocks(tmp_path_factory.mktemp("trial")))

    @pytest.fixture(scope="class")
    def inputs(self, spec: TrialSpec) -> Inputs:
        """What it reads."""
        return Inputs([spec])

    @pytest.fixture(scope="class")
    def first(self, spec: TrialSpec, inputs: Inputs) -> Ran:
        """The trial, run once."""
        return ran(spec, inputs)

    def test_it_finishes_with_a_finite_loss(self, first: Ran) -> None:
        """Every step counts, and the outcome has the forwards of all."""
        assert first.said.outcome is not None
        assert first.said.outcome.status == "finished"
        assert all(abs(step.loss) < float("inf") for step in first.said.steps)
        assert first.said.outcome.forwards == sum(entry.forwards for entry in first.ledger)

    def test_it_repeats_whatever_was_drawn_before(self, spec: TrialSpec, inputs: Inputs, first: Ran) -> None:
        """Nothing depends on a global random state."""
        torch.manual_seed(2)
        torch.rand(3)
        again = ran(spec, inputs)
        assert again.said.told == first.said.told
        assert_same(again.weights, first.weights)

    def test_it_resumes_in_mid_task(self, spec: TrialSpec, inputs: Inputs, first: Ran) -> None:
        """A trial killed after a part of its steps ends as if it had not been."""
        if spec.optimizing.first_order:
            pytest.skip("a first-order task begins again: there is no ledger to resume from")
        resumed = ran(spec, inputs, past=first.ledger[: len(first.ledger) // 2])
        assert resumed.said.told == first.said.told
        assert_same(resumed.weights, first.weights)

    def test_its_ledger_rebuilds_it(self, spec: TrialSpec, first: Ran, tmp_path: Path) -> None:
        """Base weights and ledger are the weights at the end."""
        if spec.optimizing.first_order:
            pytest.skip("a first-order trial has no ledger")
        taken = [Taken(step.task, step.lr, entry) for step, entry in zip(first.said.steps, first.ledger, strict=True)]
        learner = rebuild(spec, taken, Snapshots(tmp_path, spec.trial_id))
        rebuilt = learner.network.state_dict()
        assert_same({name: rebuilt[name] for name in rebuilt if name in first.weights}, first.weights)

    def test_the_dry_run_says_its_forwards(self, spec: TrialSpec, inputs: Inputs, first: Ran) -> None:
        """What is printed before a sweep is what is run."""
        expected = cost(spec, inputs)
        assert first.said.outcome is not None
        assert first.said.outcome.forwards is not None
        assert expected.least <= first.said.outcome.forwards <= expected.most

    def test_a_spec_survives_its_json(self, spec: TrialSpec) -> None:
        """Workers and tables are given the spec as JSON."""
        again = TrialSpec.from_json(spec.to_json())
        assert (again, again.trial_id) == (spec, spec.trial_id)


class LearnerContract(TrialContract):
    """A method: give `method`, and `stream` if it does not learn classes."""

    def test_it_learns_the_stages_in_order(self, spec: TrialSpec, first: Ran) -> None:
        """Steps and evaluations come in the order of the stages."""
        stages = [step.task for step in first.said.steps]
        assert stages == sorted(stages)
        assert [e.stage for e in first.said.evals] == sorted(e.stage for e in first.said.evals)
        assert all(first.learner.trains(spec, stage) for stage in stages)

    def test_accuracies_are_shares(self, first: Ran) -> None:
        """A prediction is right or wrong."""
        assert all(0 <= e.value <= 1 for e in first.said.evals if "accuracy" in e.metric)


class OptimizerContract(TrialContract):
    """An optimizer: give `optimizer`."""

    def test_a_ledger_row_a_query(self, spec: TrialSpec, first: Ran) -> None:
        """A step has as many directions as its facts say."""
        assert {len(entry.seeds) for entry in first.ledger} == {spec.optimizing.queries(spec.optimizer)}

    def test_it_moves_the_weights(self, spec: TrialSpec, inputs: Inputs, first: Ran) -> None:
        """And with a learning rate of 0 it does not."""
        still = spec.model_copy(update={"optimizer": spec.optimizer.model_copy(update={"lr": 0.0})})
        unmoved = ran(still, inputs).weights
        assert any(not torch.equal(unmoved[name], value) for name, value in first.weights.items())


class StreamContract(TrialContract):
    """A stream: give `stream`."""

    def test_stages_count_from_one(self, spec: TrialSpec, inputs: Inputs) -> None:
        """Iterating and indexing agree, however often."""
        made = inputs.stream(spec)
        assert [stage.index for stage in made] == list(range(1, len(made) + 1))
        assert [made[i].index for i in range(len(made))] == [stage.index for stage in made]

    def test_it_is_the_same_again(self, spec: TrialSpec, inputs: Inputs) -> None:
        """Two streams of the same data are equal, array by array."""
        data = inputs.of(spec)[1]
        again = stream(spec.stream.kind).load().of(spec.stream, data)
        for one, other in zip(inputs.stream(spec), again, strict=True):
            assert (one.train_x == other.train_x).all()
            assert (one.train_y == other.train_y).all()

    def test_no_stage_is_empty(self, spec: TrialSpec, inputs: Inputs) -> None:
        """Every stage has something to learn, a target for every input."""
        assert all(len(stage.train_x) == len(stage.train_y) > 0 for stage in inputs.stream(spec))


class FamilyContract(TrialContract):
    """A family of models: give `model`."""

    def test_a_price_counts_the_weights(self, spec: TrialSpec, inputs: Inputs) -> None:
        """The dry run knows how large the model is."""
        base = inputs.of(spec)[0]
        made = family(spec).network(spec, base, seed=0)
        counted = sum({p.data_ptr(): p.numel() for p in made.parameters()}.values())
        counted += sum(b.numel() for b in made.buffers())
        assert abs(family(spec).price(spec, base).weights - counted) <= 0.01 * counted

    def test_networks_of_a_base_are_equal_and_apart(self, spec: TrialSpec, inputs: Inputs) -> None:
        """Trials share a base, never a weight."""
        base = inputs.of(spec)[0]
        one, other = (family(spec).network(spec, base, seed=0) for _ in range(2))
        assert_same(one.state_dict(), other.state_dict())
        pointers = {p.data_ptr() for p in one.parameters()}
        assert not pointers & {p.data_ptr() for p in other.parameters()}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Both have the same tensors, bit for bit."""
    assert one.keys() == other.keys()
    different = [name for name, value in one.items() if not torch.equal(value, other[name])]
    assert not different, f"different in {different[:3]}"
