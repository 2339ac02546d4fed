"""What is minimised: cross-entropy, the error rate, or a function of the user's own."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.training import toy
from zfscale.errors import ZfscaleError
from zfscale.training import objective
from zfscale.trial.inputs import Inputs

OWN = """
import torch

number = 3

def hinge(logits, labels):
    right = logits.gather(1, labels[:, None])
    return (1 + logits - right).clamp(min=0).mean() - 1 / logits.shape[1]

def plain(logits, labels):
    return float(hinge(logits, labels).detach())

def vector(logits, labels):
    return logits[:, 0]

def nothing(logits, labels):
    pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's module in the working directory."""
    (tmp_path / "own_objective.py").write_text(OWN)
    (tmp_path / "own_broken.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "own_objective"
    sys.modules.pop("own_objective", None)


def test_accuracy_is_the_error_rate():
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [5.0, 6.0]])
    assert float(objective.load("accuracy")(logits, torch.tensor([0, 0, 0, 1]))) == 0.25
    assert objective.load("cross_entropy") is F.cross_entropy


def test_the_error_rate_is_of_the_labels_that_count():
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [5.0, 6.0]])
    assert float(objective.load("accuracy")(logits, torch.tensor([-100, 1, 1, -100]))) == 0.5


@pytest.mark.parametrize("optimizer", ["zo-sgd", "zo-sgd-sign", "zo-adam", "zo-adamm"])
def test_the_error_rate_falls_where_it_is_minimised(optimizer):
    more: dict[str, Any] = {"objective": "accuracy", "eps": 0.1, "lr": 0.01, "queries": 8, "sides": 1}
    losses = [s.loss for s in toy.fit(toy.spec(optimizer, epochs=100, **more)).steps]
    assert losses[0] > 0.3
    assert sum(losses[-10:]) / 10 < 0.15


def test_an_objective_of_the_users_own(own):
    """A trial on it is the same whether it returns a tensor or a number, and its loss is the function's."""
    found = [toy.fit(toy.spec(objective=f"{own}:{name}", sides=1, epochs=3)) for name in ("hinge", "plain")]
    assert found[0].told == found[1].told
    data, net = toy.task(), toy.network()
    expected = F.multi_margin_loss(net(torch.tensor(data.train_x)), torch.tensor(data.train_y))
    assert found[0].steps[0].loss == pytest.approx(float(expected.detach()), rel=1e-6)


@pytest.mark.parametrize("name", ["hinge", "plain"])
def test_a_trial_on_an_objective_of_the_users_own(name, own, small):
    spec = small.spec(train__objective=f"{own}:{name}", train__micro_batch_size=3)
    Inputs([spec])
    assert small.run(spec).told != small.run(small.spec()).told


@pytest.mark.parametrize("optimizer", ["fo-sgd", "forward-grad"])
def test_a_derivative_is_taken_of_the_users_own_objective(optimizer, own):
    told = toy.fit(toy.spec(optimizer, objective=f"{own}:hinge", lr=0.1, epochs=60))
    assert told.steps[-1].loss < 0.6 * told.steps[0].loss


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("own_nowhere:f", "cannot be imported: No module named 'own_nowhere'"),
        ("own_broken:f", "cannot be imported"),
        ("own_objective:f", "cannot be imported: .*has no attribute 'f'"),
        ("own_objective:number", "is not a function"),
    ],
)
def test_what_is_no_objective_is_refused_before_any_trial(name, says, own, small):
    with pytest.raises(ZfscaleError, match=f"train.objective: '{name}' {says}"):
        Inputs([small.spec(train__objective=name)])


@pytest.mark.parametrize("optimizer", ["zo-sgd", "forward-grad", "fo-sgd"])
@pytest.mark.parametrize("name", ["vector", "nothing"])
def test_an_objective_that_returns_no_number_is_a_clear_error(name, optimizer, own):
    with pytest.raises(ZfscaleError, match=r"train\.objective: expected one number"):
        toy.fit(toy.spec(optimizer, objective=f"{own}:{name}"))


@pytest.mark.parametrize("optimizer", ["fo-sgd", "forward-grad"])
@pytest.mark.parametrize("micro_batch_size", [None, 8])
def test_an_objective_without_a_derivative_is_a_clear_error(micro_batch_size, optimizer, own):
    with pytest.raises(ZfscaleError, match=r"train\.objective: no derivative"):
        toy.fit(toy.spec(optimizer, objective=f"{own}:plain", micro_batch_size=micro_batch_size))
