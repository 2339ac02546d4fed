"""The control without a model against NumPy, and that the model is not used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zfscale.methods.catalogue import METHODS
from zfscale.training.journal import Journal


def nearest(train: np.ndarray, labels: np.ndarray, test: np.ndarray, classes: int) -> np.ndarray:
    """The nearest class mean by cosine, in plain loops."""
    means = np.array([train[labels == c].mean(0) for c in range(classes)])
    cos = [[m @ x / np.linalg.norm(m) / np.linalg.norm(x) for m in means] for x in test]
    return np.argmax(cos, 1)


def test_pixels_are_compared_as_they_are(small, memory):
    spec = small.spec("pixels")
    blind = replace(small.base, weights={name: 0 * w for name, w in small.base.weights.items()})
    for base in (small.base, blind):
        learner = METHODS["pixels"].load()(spec, base)
        x, y = [], []
        for task in small.tasks(spec):
            learner.learn(task, Journal(memory))
            x.append(task.train_x.reshape(len(task.train_x), -1).astype(float))
            y.append(task.train_y)
        for task in small.tasks(spec):
            test = task.test_x.reshape(len(task.test_x), -1).astype(float)
            expected = nearest(np.concatenate(x), np.concatenate(y), test, 6)
            assert learner.predict(task).tolist() == expected.tolist()
    assert not memory.steps
