"""RanPAC's ridge regression against NumPy: the weights, the choice of lambda, and what is added up over tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zfscale.methods.catalogue import METHODS
from zfscale.methods.ranpac import PENALTIES, choose, ridge
from zfscale.training.journal import Journal


def written(images: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features and one-hot labels of three classes that a linear map tells apart, with noise."""
    draw = np.random.default_rng(seed)
    y = np.eye(3)[draw.integers(0, 3, images)]
    return np.maximum(y @ draw.normal(size=(3, width)) + 0.7 * draw.normal(size=(images, width)), 0), y


def solved(h: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    return np.linalg.inv(h.T @ h + penalty * np.eye(h.shape[1])) @ h.T @ y


def test_the_weights_are_those_of_ridge_regression():
    h, y = written(40, 12)
    found = ridge(torch.tensor(h.T @ h), torch.tensor(h.T @ y), 0.3)
    np.testing.assert_allclose(found.numpy(), solved(h, y, 0.3), rtol=1e-9)


@pytest.mark.parametrize(("images", "width"), [(60, 20), (30, 60), (80, 30)])
def test_lambda_has_the_least_error_on_the_last_fifth(images, width):
    """Whichever of the two Gram matrices is the smaller one."""
    h, y = written(images, width, seed=images)
    n = int(images * 0.8)
    errors = {p: np.square(h[n:] @ solved(h[:n], y[:n], p) - y[n:]).mean() for p in PENALTIES[6:]}
    best = min(errors, key=errors.__getitem__)
    assert PENALTIES[6] < best < PENALTIES[-1]
    assert choose(torch.tensor(h), torch.tensor(y)) == best


def test_one_image_has_none_to_spare():
    assert choose(torch.ones(1, 4).double(), torch.ones(1, 1).double()) == PENALTIES[-1]


def test_all_tasks_together_are_one_regression(small, memory):
    """The weights after the last task are those of all images at once, whatever the order of the tasks."""
    spec = small.spec("ranpac", method__random_features=50)
    learner = METHODS["ranpac"].load()(spec, small.base)
    tasks = list(small.tasks(spec))
    for task in tasks:
        learner.learn(task, Journal(memory))
    f = np.concatenate([learner.pretrained_features(task, "train").numpy() for task in tasks]).astype(float)
    y = np.eye(6)[np.concatenate([task.train_y for task in tasks])]
    h = np.maximum(f @ learner.projection(f.shape[1]).numpy(), 0)
    known = [ridge(torch.tensor(h.T @ h), torch.tensor(h.T @ y), p).numpy() for p in PENALTIES]
    assert any(np.allclose(learner.weights.numpy(), w, rtol=1e-6, atol=1e-9) for w in known)
    test = learner.pretrained_features(tasks[0], "test").numpy().astype(float)
    expected = (np.maximum(test @ learner.projection(f.shape[1]).numpy(), 0) @ learner.weights.numpy()).argmax(1)
    assert learner.predict(tasks[0]).tolist() == expected.tolist()
    assert not memory.steps


def test_the_projection_is_a_function_of_the_seed(small):
    spec = small.spec("ranpac", method__random_features=400)
    specs = [spec, spec, spec.model_copy(update={"seed": 1})]
    one, again, other = (METHODS["ranpac"].load()(s, small.base).projection(16) for s in specs)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert abs(float(one.mean())) < 0.05
    assert abs(float(one.std()) - 1) < 0.05
