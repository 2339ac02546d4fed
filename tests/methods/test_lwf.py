"""Learning without Forgetting: its loss against NumPy, on logits written by hand and in a trial."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zfscale.methods.catalogue import METHODS
from zfscale.methods.lwf import distilling
from zfscale.testing.trials import LearnerContract
from zfscale.training.journal import Journal


class TestInBf16(LearnerContract):
    method = {"name": "lwf"}  # noqa: RUF012
    train = {"epochs": 1, "batch_size": 8, "precision": "bf16"}  # noqa: RUF012


class TestInMixedPrecision(LearnerContract):
    method = {"name": "lwf"}  # noqa: RUF012
    train = {"epochs": 1, "batch_size": 8, "precision": "bf16-mixed"}  # noqa: RUF012


class TestByBackpropagation(LearnerContract):
    method = {"name": "lwf", "temperature": 1.5}  # noqa: RUF012
    optimizer = {"name": "fo-sgd", "lr": 0.1}  # noqa: RUF012


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def formula(logits: np.ndarray, answers: np.ndarray, labels: np.ndarray, weight: float, t: float) -> float:
    """Eq. 2 and 3 of the paper, with probabilities to the power 1 / T; labels count from the first new class."""
    old = answers.shape[1]
    taught, told = softmax(answers) ** (1 / t), softmax(logits[:, :old]) ** (1 / t)
    taught, told = taught / taught.sum(1, keepdims=True), told / told.sum(1, keepdims=True)
    new = -np.log(softmax(logits[:, old:])[np.arange(len(labels)), labels])
    return float(new.mean() - weight * (taught * np.log(told)).sum(1).mean())


def test_the_loss_follows_the_formula():
    draw = np.random.default_rng(0)
    logits, answers = 2 * draw.normal(size=(4, 5)), 2 * draw.normal(size=(9, 3))
    labels, rows = np.array([3, 4, 4, 3]), np.array([8, 0, 3, 3])
    loss = distilling(3, torch.tensor(answers), weight=0.4, temperature=2.0)
    told = loss(F.cross_entropy, torch.tensor(logits), torch.tensor(labels), torch.tensor(rows))
    assert float(told) == pytest.approx(formula(logits, answers[rows], labels - 3, 0.4, 2.0), rel=1e-12)


def test_a_trial_is_taught_by_the_network_before_the_task(small, memory):
    """The loss of each of two steps is of the network as it then is, and of the answers before both."""
    spec = small.spec("lwf", "fo-sgd", train={"epochs": 2, "batch_size": 16}, method__distillation=3.0)
    stepped = spec.model_copy(update={"train": spec.train.model_copy(update={"epochs": 1})})
    first, second, _ = small.tasks(spec)
    start, short = (METHODS["lwf"].load()(spec, small.base) for _ in range(2))
    for learner in (start, short):
        learner.learn(first, Journal(memory))
    start.begin(second)
    short.spec = stepped
    short.learn(second, Journal(memory))
    memory.steps.clear()
    learner = METHODS["lwf"].load()(spec, small.base)
    learner.learn(first, Journal(memory))
    learner.learn(second, Journal(memory))
    before, after = (m._head.every(m.features(second.train_x)).detach().double().numpy() for m in (start, short))
    for step, logits in zip(memory.steps[2:], (before, after), strict=True):
        expected = formula(logits, before[:, :2], second.train_y - 2, 3.0, 2.0)
        assert step.loss == pytest.approx(expected, rel=1e-5)
    assert memory.steps[3].loss < memory.steps[2].loss
