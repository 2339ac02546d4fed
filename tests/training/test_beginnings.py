"""What is frozen runs once a step or once an image of a stage, and a trial is the one in which it runs every time."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from tests.conftest import OPTIMIZERS
from zfscale.methods.catalogue import METHODS, Method
from zfscale.methods.finetune import Finetune
from zfscale.models.network import Network
from zfscale.testing.trials import LearnerContract
from zfscale.training.batch import Batch
from zfscale.training.journal import Journal

EVERY_TIME = {"frozen_cache_mib": 0}


class HeadAlone(Finetune):
    """A user's method: the encoder is never trained."""

    facts = Method("tests.training.test_beginnings:HeadAlone", "class_incremental", "all")

    def begin(self, task):
        super().begin(task)
        self.network.encoder.requires_grad_(False)


HEAD = HeadAlone.facts.path


def spec_of(small, method: str, optimizer: str, queries: int = 1, **train: Any) -> Any:
    more: dict[str, Any] = {"method__buffer_size": 12} if method == "memo" else {}
    more |= {"optimizer__queries": queries} if queries > 1 else {}
    return small.spec(method, optimizer, train={"epochs": 2, "batch_size": 8, **train}, **more)


class TestKeptForAStage(LearnerContract):
    """That it resumes in mid task, bit for bit, is what a cache could break."""

    method: ClassVar[dict[str, Any]] = {"name": "memo", "buffer_size": 12}
    train: ClassVar[dict[str, Any]] = {"epochs": 3, "batch_size": 8, "micro_batch_size": 3}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", ["memo", HEAD])
def test_once_a_step_has_the_bits_of_every_time(method, optimizer, small, monkeypatch):
    spec = spec_of(small, method, optimizer, **EVERY_TIME, micro_batch_size=3)
    shared = small.run(spec)
    monkeypatch.setattr(Network, "begin", lambda self, x: None)
    assert small.run(spec).told == shared.told


@pytest.mark.parametrize("optimizer", ["zo-sgd", "zo-adam-conserve", "forward-grad", "fo-sgd"])
@pytest.mark.parametrize("method", ["memo", HEAD])
def test_once_a_stage_differs_by_rounding_alone(method, optimizer, small):
    """Losses by a few of float32's last bits, 6e-8 each; a coefficient divides their difference by 2 eps."""
    kept, shared = (small.run(spec_of(small, method, optimizer, **train)) for train in ({}, EVERY_TIME))
    assert [s.loss for s in kept.steps] == pytest.approx([s.loss for s in shared.steps], rel=2e-6)
    coefficients = [q.coefficient for q in shared.queries]
    assert [q.coefficient for q in kept.queries] == pytest.approx(coefficients, abs=1e-3, rel=1e-3)
    assert [(q.seed, q.task, q.step) for q in kept.queries] == [(q.seed, q.task, q.step) for q in shared.queries]


@pytest.mark.parametrize("dtype", ["bf16", "bf16-mixed"])
def test_in_sixteen_bits_too(dtype, small, monkeypatch):
    spec = spec_of(small, "memo", "zo-sgd", **EVERY_TIME, precision=dtype)
    shared = small.run(spec)
    monkeypatch.setattr(Network, "begin", lambda self, x: None)
    assert small.run(spec).told == shared.told


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", [1, 2])
def test_behind_deepspeed_s_backward(stage, precision, small, monkeypatch):
    spec = spec_of(small, "memo", "fo-adam", **EVERY_TIME)
    spec = spec.model_copy(update={"engine": spec.engine.model_copy(update={"stage": stage, "dtype": precision})})
    shared = small.run(spec)
    monkeypatch.setattr(Network, "begin", lambda self, x: None)
    assert small.run(spec).told == shared.told


def images_run(small, memory, optimizer: str, queries: int = 1, **train: Any) -> list[int]:
    """How many images the first block sees in training stage 2 of MEMO, a forward an entry."""
    spec = spec_of(small, "memo", optimizer, queries, **train)
    learner = METHODS["memo"].load()(spec, small.base)
    stages = learner.stages(small.tasks(spec))
    learner.learn(next(stages), Journal(memory))
    seen: list[int] = []
    first = learner.network.encoder.backbone.layers[0]
    first.register_forward_pre_hook(lambda _block, args: seen.append(len(args[0])))
    remember, learner.remember = learner.remember, lambda task: None
    learner.learn(next(stages), Journal(memory))
    learner.remember = remember
    return [count for count in seen if count > 1]  # one is the example that a network is prepared with


@pytest.mark.parametrize(("optimizer", "queries"), [("zo-sgd", 1), ("zo-sgd", 3), ("fo-sgd", 1)])
def test_frozen_blocks_run_once(optimizer, queries, small, memory):
    """Of 28 images in batches of 8, two epochs: 28 once a stage, or twice 28, however many forwards a step takes."""
    assert images_run(small, memory, optimizer, queries) == [8, 8, 8, 4]
    assert images_run(small, memory, optimizer, queries, **EVERY_TIME) == [8, 8, 8, 4] * 2


def test_what_takes_more_memory_than_allowed_runs_once_a_step(small, memory, monkeypatch):
    """A tiny ViT's image takes 10 tokens of 16 numbers and 16 features, 704 bytes."""
    monkeypatch.setattr("zfscale.training.trainers.MIB", 28 * 704)
    assert len(images_run(small, memory, "zo-sgd", frozen_cache_mib=1)) == 4
    monkeypatch.setattr("zfscale.training.trainers.MIB", 28 * 704 - 1)
    assert len(images_run(small, memory, "zo-sgd", frozen_cache_mib=1)) == 8


def test_dropout_in_front_is_drawn_every_time(small, memory):
    """Backpropagation runs in train mode, where a frozen block with dropout is no function of the image."""
    base = small.base
    config = type(base.config).from_dict(base.config.to_dict() | {"hidden_dropout_prob": 0.1})
    noisy = type(small)(small.spec_of, type(base)(base.name, config, base.weights, base.pixels), small.data)
    assert sum(images_run(noisy, memory, "fo-sgd")) == 2 * 28
    assert sum(images_run(noisy, memory, "zo-sgd")) == 28


@pytest.mark.parametrize("optimizer", ["zo-sgd", "fo-sgd"])
def test_augmented_images_are_not_those_of_the_stage(optimizer, small, monkeypatch):
    """They differ from epoch to epoch, so what is kept of an image would be of another one."""
    load = Batch.load
    steps = []

    def flipped(self, x, y, rows):
        steps.append(len(rows))
        load(self, x[..., ::-1].copy() if len(steps) % 2 else x, y, rows)

    monkeypatch.setattr(Batch, "load", flipped)
    shared = small.run(spec_of(small, "memo", optimizer))
    steps.clear()
    monkeypatch.setattr(Network, "begin", lambda self, x: None)
    every_time = small.run(spec_of(small, "memo", optimizer))
    assert [s.loss for s in shared.steps] == pytest.approx([s.loss for s in every_time.steps], rel=2e-6)


def test_only_another_limit_makes_another_trial(small):
    plain, same, other = (spec_of(small, "memo", "zo-sgd", **t) for t in ({}, {"frozen_cache_mib": 1024}, EVERY_TIME))
    assert plain.trial_id == same.trial_id != other.trial_id
