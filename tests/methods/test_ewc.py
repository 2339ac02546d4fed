"""EWC's Fisher information and penalty against NumPy, on features written by hand and in trials."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zfscale.methods.catalogue import METHODS
from zfscale.methods.fisher import Examples, by_backward, by_forwards
from zfscale.methods.quadratic import Quadratic, penalised
from zfscale.models.precision import PRECISIONS
from zfscale.models.trained import Trained
from zfscale.testing.trials import LearnerContract
from zfscale.training.journal import Journal


class TestInBf16(LearnerContract):
    method = {"name": "ewc", "fisher": "backprop", "penalty": 1.0}  # noqa: RUF012
    train = {"epochs": 1, "batch_size": 8, "precision": "bf16"}  # noqa: RUF012


class TestInMixedPrecision(LearnerContract):
    method = {"name": "ewc", "fisher": "backprop", "penalty": 1.0}  # noqa: RUF012
    train = {"epochs": 1, "batch_size": 8, "precision": "bf16-mixed"}  # noqa: RUF012


class TestByBackpropagation(LearnerContract):
    method = {"name": "ewc", "loss_over": "new", "fisher_images": 5}  # noqa: RUF012
    optimizer = {"name": "fo-sgd", "lr": 0.1}  # noqa: RUF012


class TestByForwardGradients(LearnerContract):
    method = {"name": "ewc", "fisher_images": 5, "penalty": 1.0}  # noqa: RUF012
    optimizer = {"name": "forward-grad", "lr": 0.01}  # noqa: RUF012


class TestOfTheDiagonalOverNew(LearnerContract):
    method = {"name": "ewc", "loss_over": "new", "fisher": "backprop", "penalty": 10.0}  # noqa: RUF012
    train = {"epochs": 1, "batch_size": 8, "micro_batch_size": 3}  # noqa: RUF012


def leaf(name: str) -> Any:
    """What a penalty asks of a leaf."""
    return SimpleNamespace(name=name)


class Linear(Trained):
    """Features float32 [B, D] -> logits W f + b [B, C], with both in modules of their own."""

    def __init__(self, w: np.ndarray, b: np.ndarray) -> None:
        super().__init__(PRECISIONS["fp32"])
        self.head = nn.Linear(w.shape[1], len(w))
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor(w))
            self.head.bias.copy_(torch.tensor(b))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(features)


@pytest.fixture
def written() -> dict[str, Any]:
    """A linear classifier of 3 classes, 40 examples, and the diagonal of its Fisher information by the formula."""
    draw = np.random.default_rng(0)
    w, b, f = draw.normal(size=(3, 4)), draw.normal(size=3), draw.normal(size=(40, 4))
    y = draw.integers(0, 3, 40)
    e = np.exp(f @ w.T + b)
    residual = e / e.sum(1, keepdims=True) - np.eye(3)[y]  # d -log p / d logits
    of_w = np.square(residual[:, :, None] * f[:, None, :]).mean(0)
    examples = Examples(torch.tensor(f).float(), torch.tensor(y), batch=1)
    return {"network": Linear(w, b), "examples": examples, "weight": of_w, "bias": np.square(residual).mean(0)}


def test_the_diagonal_follows_the_formula(written):
    leaves, _ = written["network"].prepare(written["examples"].x[:1])
    found = by_backward(written["network"], leaves, written["examples"])
    np.testing.assert_allclose(found["head.weight"].numpy(), written["weight"], rtol=1e-4)
    np.testing.assert_allclose(found["head.bias"].numpy(), written["bias"], rtol=1e-4)


def test_forwards_find_the_mean_of_the_diagonal_over_a_leaf(written):
    """Unbiased: the mean over many seeds is within three of its standard errors."""
    network, examples = written["network"], written["examples"]
    leaves, overlay = network.prepare(examples.x[:1])
    found = [by_forwards(network, leaves, overlay, examples, seed) for seed in range(60)]
    for name in ("weight", "bias"):
        assert found[0][f"head.{name}"].shape == written[name].shape
        assert len(found[0][f"head.{name}"].unique()) == 1
        means = np.array([float(f[f"head.{name}"].flatten()[0]) for f in found])
        error = means.std(ddof=1) / len(means) ** 0.5
        assert error < 0.04 * means.mean()
        assert abs(means.mean() - written[name].mean()) < 3 * error


def test_slopes_along_one_leaf_are_exact_up_to_the_step(written):
    """Of one example and one leaf, s^2 = (g . z)^2 for a z of +-1: one of the 2^(n - 1) values that it can have."""
    network, examples = written["network"], written["examples"]
    leaves, overlay = network.prepare(examples.x[:1])
    one = Examples(examples.x[:1], examples.y[:1], batch=1)
    found = 3 * float(by_forwards(network, leaves, overlay, one, 5)["head.bias"][0])
    with torch.no_grad():
        residual = (F.softmax(network(one.x), 1) - F.one_hot(one.y, 3)).double().numpy()[0]
    possible = [(residual @ z) ** 2 for z in np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T]
    assert min(abs(found - value) for value in possible) < 1e-4


def test_penalties_of_several_tasks_add_up():
    """Three tasks, of which the second and the third have a leaf with more rows; against the sum by its definition."""
    draw = np.random.default_rng(1)
    tasks = [
        (draw.random((rows, 2)) * (draw.random((rows, 2)) > 0.3), draw.normal(size=(rows, 2))) for rows in (2, 3, 5)
    ]
    quadratic = Quadratic()
    for stiffness, theta in tasks:
        quadratic.add("w", torch.tensor(stiffness), torch.tensor(theta))
    now = draw.normal(size=(6, 2))
    quadratic.see(leaf("another"), torch.ones(3))
    quadratic.see(leaf("w"), torch.tensor(now).float())
    expected = sum((f * np.square(now[: len(f)] - theta)).sum() for f, theta in tasks)
    logits, labels = torch.zeros(2, 4), torch.tensor([0, 1])
    told = penalised(quadratic, 3.0)(F.cross_entropy, logits, labels, torch.arange(2))
    assert float(told) == pytest.approx(np.log(4) + 1.5 * expected, rel=1e-5)
    with pytest.raises(AssertionError, match="no forward"):
        quadratic.take()


@pytest.mark.parametrize("loss_over", ["seen", "new"])
@pytest.mark.parametrize("optimizer", ["zo-sgd", "fo-sgd", "forward-grad"])
def test_the_loss_of_a_trial_has_the_penalty(optimizer, loss_over, small, memory):
    """Steps of task 3, against the cross-entropy and the sum over both earlier tasks, from weights kept on the way."""
    train = {"epochs": 2, "batch_size": 16}
    spec = small.spec("ewc", optimizer, train=train, method__penalty=1e4, method__loss_over=loss_over)
    learner = METHODS["ewc"].load()(spec, small.base)
    kept: list[dict[str, tuple[np.ndarray, np.ndarray]]] = []
    add = learner.quadratic.add

    def spied(name: str, stiffness: torch.Tensor, theta: torch.Tensor) -> None:
        kept[-1][name] = stiffness.double().numpy().copy(), theta.double().numpy().copy()
        add(name, stiffness, theta)

    learner.quadratic.add = spied
    one, two, three = small.tasks(spec)
    for task in (one, two):
        kept.append({})
        learner.learn(task, Journal(memory))
    before = {name: p.detach().double().numpy().copy() for name, p in learner.network.named_parameters()}
    trained = [name for name in before if loss_over == "seen" or not name.startswith("head.")]
    penalty = 0.5e4 * sum(
        (f * np.square(before[name][: len(f)] - theta)).sum()
        for task in kept
        for name, (f, theta) in task.items()
        if name in trained
    )
    learner.spec = spec.model_copy(update={"optimizer": spec.optimizer.model_copy(update={"lr": 1e-30, "eps": 1e-5})})
    learner.quadratic.add = lambda *_: None
    learner.learn(three, Journal(memory))
    first = 4 if loss_over == "new" else 0
    with torch.no_grad():
        logits = learner.network.head.every(learner.features(three.train_x))[:, first:]
    expected = float(F.cross_entropy(logits, torch.tensor(three.train_y - first))) + penalty
    assert penalty > 1e-3
    assert memory.steps[-1].loss == pytest.approx(expected, rel=2e-3)


def test_a_penalty_holds_the_weights_that_the_first_task_needs(small, memory):
    """By the measure of the penalty itself, the next task moves them less."""
    moved = []
    for penalty in (0.0, 100.0):
        spec = small.spec("ewc", "fo-sgd", train={"epochs": 5, "batch_size": 8}, method__penalty=penalty)
        learner = METHODS["ewc"].load()(spec, small.base)
        first, second, _ = small.tasks(spec)
        learner.learn(first, Journal(memory))
        learner.remember = lambda task: None
        learner.learn(second, Journal(memory))
        for name, parameter in learner.network.named_parameters():
            learner.quadratic.see(leaf(name), parameter.detach())
        moved.append(float(learner.quadratic.take()))
    assert 0 < moved[1] < 0.5 * moved[0]


def test_the_fisher_information_is_the_optimizers_kind_unless_told(small, memory, monkeypatch):
    """A forward-only trial has no backward, a hybrid and a first-order one have."""
    used: list[str] = []
    for name in ("by_backward", "by_forwards"):
        monkeypatch.setattr(f"zfscale.methods.ewc.{name}", lambda *given, name=name: used.append(name) or Zeros())
    hybrid = {"name": "fo-sgd", "lr": 0.1, "epochs": 1}
    specs = [
        small.spec("ewc", "zo-sgd"),
        small.spec("ewc", "fo-sgd"),
        small.spec("ewc", "zo-sgd", optimizer__first_order=hybrid),
        small.spec("ewc", "zo-sgd", method__fisher="backprop"),
        small.spec("ewc", "fo-sgd", method__fisher="forward"),
    ]
    for spec in specs:
        METHODS["ewc"].load()(spec, small.base).learn(next(iter(small.tasks(spec))), Journal(memory))
    assert used == ["by_forwards", "by_backward", "by_backward", "by_backward", "by_forwards"]


class Zeros(dict):
    """A Fisher information of 0 for any leaf."""

    def __missing__(self, name: str) -> torch.Tensor:
        return torch.zeros(())
