"""MEMO's logits and loss against NumPy on features written by hand; what trains when, and what the head keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zfscale.methods.catalogue import METHODS
from zfscale.methods.memo import with_auxiliary
from zfscale.models.heads import AuxiliaryHead
from zfscale.testing.trials import LearnerContract
from zfscale.training.journal import Journal


class TestInBf16(LearnerContract):
    method = {"name": "memo"}  # noqa: RUF012
    train = {"epochs": 1, "batch_size": 8, "precision": "bf16"}  # noqa: RUF012


class TestInMixedPrecision(LearnerContract):
    method = {"name": "memo"}  # noqa: RUF012
    train = {"epochs": 1, "batch_size": 8, "precision": "bf16-mixed"}  # noqa: RUF012


class TestByBackpropagation(LearnerContract):
    method = {"name": "memo", "buffer_size": 12, "alpha_aux": 0.5}  # noqa: RUF012
    optimizer = {"name": "fo-adam", "lr": 0.01}  # noqa: RUF012


class TestByForwardGradients(LearnerContract):
    method = {"name": "memo", "buffer_size": 12}  # noqa: RUF012
    optimizer = {"name": "forward-grad", "lr": 0.01}  # noqa: RUF012


class TestWithAnotherDecayLater(LearnerContract):
    method = {"name": "memo", "buffer_size": 12, "later_weight_decay": 0.5}  # noqa: RUF012


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """-log softmax at the label, the mean over rows."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return float(-np.log((shifted / shifted.sum(1, keepdims=True))[np.arange(len(labels)), labels]).mean())


def test_logits_and_loss_follow_the_formula():
    """Two tasks of 3 and 2 classes, features of width 4: CE over 5 classes + alpha CE over {old, 3, 4}."""
    draw = np.random.default_rng(0)
    features, labels = draw.normal(size=(7, 8)), np.array([0, 3, 4, 1, 4, 2, 3])
    head = AuxiliaryHead(4)
    head.grow(3, seed=1)
    head.widen(4, seed=2)
    head.attach(3, seed=3)
    head.grow(2, seed=4)
    assert head.other is not None
    with torch.no_grad():
        head.bias.add_(torch.tensor(draw.normal(size=5)))
        head.other.bias.add_(torch.tensor(draw.normal(size=3)))
        outputs = head(torch.tensor(features).float())
    w, b = head.weight.detach().numpy().astype(float), head.bias.detach().numpy().astype(float)
    v, a = head.other.weight.detach().numpy().astype(float), head.other.bias.detach().numpy().astype(float)
    main, auxiliary = features @ w.T + b, features[:, 4:] @ v.T + a
    np.testing.assert_allclose(outputs.numpy(), np.concatenate([main, auxiliary], 1), atol=1e-6)
    told = with_auxiliary(range(3, 5), 0.7)(F.cross_entropy, outputs, torch.tensor(labels), torch.arange(7))
    of_old = np.where(labels < 3, 0, labels - 2)
    assert float(told) == pytest.approx(cross_entropy(main, labels) + 0.7 * cross_entropy(auxiliary, of_old), rel=1e-6)
    head.detach()
    np.testing.assert_allclose(head(torch.tensor(features).float()).detach().numpy(), main, atol=1e-6)


def test_the_head_keeps_its_old_weights_when_it_grows():
    head = AuxiliaryHead(4)
    head.grow(3, seed=1)
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    head.widen(4, seed=2)
    head.grow(2, seed=3)
    assert head.weight.shape == (5, 8)
    assert torch.equal(head.weight[:3, :4], weight)
    assert torch.equal(head.bias[:3], bias)
    new = head.weight[3:]
    assert 0 < float(new.detach().abs().max()) <= 8**-0.5
    assert 0 < float(head.weight[:3, 4:].detach().abs().max()) <= 8**-0.5


@pytest.mark.parametrize("optimizer", ["zo-sgd", "fo-sgd"])
def test_after_the_first_task_a_copy_and_the_head_train_alone(optimizer, small, memory):
    spec = small.spec("memo", optimizer, method__buffer_size=6)
    learner = METHODS["memo"].load()(spec, small.base)
    before = {k: v.clone() for k, v in learner.network.state_dict().items()}
    kept: dict[str, torch.Tensor] = {}
    for task in learner.stages(small.tasks(spec)):
        learner.learn(task, Journal(memory))
        now = {k: v.clone() for k, v in learner.network.state_dict().items() if not k.startswith("head.")}
        if task.index == 1:
            assert any(not torch.equal(before[k], v) for k, v in now.items())
        assert all(torch.equal(v, now[k]) for k, v in kept.items())
        fresh = [k for k in now if k not in kept and k.startswith("copies.")]
        assert {k.split(".")[2] for k in fresh} == ({str(task.index - 2)} if task.index > 1 else set())
        kept = now
        assert learner.network.head.weight.shape == (2 * task.index, 16 * task.index)
        assert learner.features(task.test_x).shape[1] == 16 * task.index
    newest, older = learner.network.copies.pairs[1], learner.network.copies.pairs[0]
    assert any(not torch.equal(a, b) for a, b in zip(newest.parameters(), older.parameters(), strict=True))


def test_the_loss_of_a_trial_is_that_of_its_features(small, memory):
    """The one step of each later task, at a rate that moves no weight, against NumPy."""
    spec = small.spec("memo", "fo-sgd", optimizer__lr=1e-30, train__batch_size=64, method__alpha_aux=0.3)
    learner = METHODS["memo"].load()(spec, small.base)
    detach = learner._head.detach
    heads = []
    learner._head.detach = lambda: (heads.append(learner._head.other), detach())
    for task in learner.stages(small.tasks(spec)):
        learner.learn(task, Journal(memory))
        f, y = learner.features(task.train_x).numpy().astype(float), task.train_y
        w, b = (p.detach().numpy().astype(float) for p in (learner._head.weight, learner._head.bias))
        expected = cross_entropy(f @ w.T + b, y)
        if task.index > 1:
            v, a = (p.detach().numpy().astype(float) for p in (heads[-1].weight, heads[-1].bias))
            assert len(v) == 3
            new = np.where(y < task.labels.start, 0, y - task.labels.start + 1)
            expected += 0.3 * cross_entropy(f[:, -16:] @ v.T + a, new)
        assert memory.steps[-1].loss == pytest.approx(expected, rel=1e-5)
    assert len(task.train_y) == 16 * 3


@pytest.mark.parametrize(("first", "later"), [(0.1, 0.4), (0.3, 0.0), (0.1, None)])
@pytest.mark.parametrize("optimizer", ["zo-sgd", "fo-sgd"])
def test_weight_decay_of_the_later_tasks(optimizer, first, later, small, memory):
    """With the loss taken away, a step of SGD is theta <- theta - lr decay theta."""
    spec = small.spec(
        "memo", optimizer, optimizer__lr=0.5, optimizer__weight_decay=first, method__later_weight_decay=later
    )
    spec = spec.model_copy(update={"train": spec.train.model_copy(update={"batch_size": 64})})
    learner = METHODS["memo"].load()(spec, small.base)
    learner.loss = lambda task: lambda objective, outputs, labels, rows: 0 * objective(outputs, labels)
    began: list[torch.Tensor] = []
    begin = learner.begin

    def watched(task):
        begin(task)
        began.append(learner._head.weight.detach().clone())

    learner.begin = watched
    for task in learner.stages(small.tasks(spec)):
        learner.learn(task, Journal(memory))
        decay = first if task.index == 1 or later is None else later
        torch.testing.assert_close(learner._head.weight.detach(), began[-1] * (1 - 0.5 * decay))
