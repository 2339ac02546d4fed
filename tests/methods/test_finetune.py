"""Finetuning over the new classes' logits: what is in the loss, what rests, and that old files mean what they meant."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from zfscale.methods.catalogue import METHODS
from zfscale.models.heads import LinearHead, TaskHeads
from zfscale.testing.trials import LearnerContract
from zfscale.training.journal import Journal


class TestOverNew(LearnerContract):
    method: ClassVar[dict[str, Any]] = {"name": "finetune", "loss_over": "new"}


class TestOverNewByBackpropagation(LearnerContract):
    method: ClassVar[dict[str, Any]] = {"name": "finetune", "loss_over": "new"}
    optimizer: ClassVar[dict[str, Any]] = {"name": "fo-sgd", "lr": 0.1}


def test_a_forward_is_of_the_newest_head_and_every_of_all():
    heads, whole, f = TaskHeads(4), LinearHead(4), torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    for seed, classes in enumerate((3, 2)):
        heads.grow(classes, seed)
        whole.grow(classes, seed)
    every = whole(f)
    torch.testing.assert_close(heads.every(f), every)
    torch.testing.assert_close(whole.every(f), every)
    torch.testing.assert_close(heads(f), every[:, 3:])
    assert [p.requires_grad for p in heads.parameters()] == [False, False, True, True]


@pytest.mark.parametrize("optimizer", ["zo-sgd", "fo-sgd"])
def test_old_rows_rest_while_a_new_task_trains(optimizer, small, memory):
    """Neither a direction nor weight decay moves them, and the encoder goes on learning."""
    spec = small.spec("finetune", optimizer, method__loss_over="new", optimizer__weight_decay=0.1)
    learner = METHODS["finetune"].load()(spec, small.base)
    rows: list[torch.Tensor] = []
    encoder = next(learner.network.encoder.parameters())
    for task in small.tasks(spec):
        before = encoder.detach().clone()
        learner.learn(task, Journal(memory))
        assert not torch.equal(before, encoder)
        heads = [head.weight.detach().clone() for head in learner.network.head.heads]
        assert all(torch.equal(old, now) for old, now in zip(rows, heads, strict=False))
        rows = heads
    assert len(rows) == 3


@pytest.mark.parametrize("loss_over", ["new", "seen"])
def test_the_loss_of_a_step_is_over_the_logits_it_says(loss_over, small, memory):
    """The first loss of task 2, at a rate that moves no weight, against the formula in NumPy."""
    spec = small.spec("finetune", "fo-sgd", method__loss_over=loss_over, optimizer__lr=1e-30, train__batch_size=16)
    learner = METHODS["finetune"].load()(spec, small.base)
    first, second, _ = small.tasks(spec)
    learner.learn(first, Journal(memory))
    learner.learn(second, Journal(memory))
    with torch.no_grad():
        logits = learner.network.head.every(learner.features(second.train_x)).double().numpy()
    y = second.train_y
    if loss_over == "new":
        logits, y = logits[:, 2:], y - 2
    expected = (np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y)), y]).mean()
    assert memory.steps[-1].loss == pytest.approx(expected, rel=1e-5)


def test_the_default_is_all_classes_seen(small):
    """Trials of files that do not name the option keep their ids."""
    plain, given = small.spec("finetune"), small.spec("finetune", method__loss_over="new")
    assert METHODS["finetune"].load()(plain, small.base).over_new is False
    assert "loss_over" not in plain.to_json()
    assert plain.trial_id != given.trial_id
