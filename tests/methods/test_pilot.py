"""Classifiers against those of the benchmark's toolbox, LAMDA-PILOT, on the same features, written by hand.

pilot.json is what its code gave (commit 2647455: `replace_fc` of models/simplecil.py, aper_adapter.py and ease.py, the
layers of backbone/linears.py) on the features of written.py: logits of the test images after three tasks. The losses of
finetune are the expression in models/finetune.py, cross-entropy over logits[:, known:], on its linear layer.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.methods import written
from zfscale.methods.aper import Aper
from zfscale.methods.classes import ClassLearner
from zfscale.methods.ease import Ease
from zfscale.methods.simplecil import SimpleCil
from zfscale.models.heads import LinearHead, TaskHeads
from zfscale.training.objective import plain

RECORDED = {k: np.array(v) for k, v in json.loads((Path(__file__).parent / "pilot.json").read_text()).items()}
TASKS = [written.task(index) for index in (1, 2, 3)]
ATOL = 2e-6  # the last digit that is recorded, and the rounding of float32


def of_written(method: type[ClassLearner], **options: Any) -> Any:
    """A learner without a model, whose features are those written by hand."""

    def without_model(self, spec, base, cache=None):
        self.spec, self.network = spec, SimpleNamespace(adapters=SimpleNamespace(sets=[]), freeze=lambda: None)

    class OfWritten(method):  # type: ignore[misc, valid-type]
        def features(self, images, adapter_set=None):
            return written.features(images, adapter_set)

        def pretrained_features(self, task, split):
            return written.features(task.train_x if split == "train" else task.test_x)

        def frozen_test_features(self, task, adapter_set):
            return written.features(task.test_x, adapter_set)

    with patch.object(ClassLearner, "__init__", without_model):
        return OfWritten(SimpleNamespace(method=SimpleNamespace(**options)), None)


def learned(learner: Any) -> np.ndarray:
    """Logits [N, 6] of the test images of all tasks after the last; what is predicted is the largest."""
    for task in TASKS:
        learner.remember(task)
    logits = [learner.test_logits(task).numpy() for task in TASKS]
    assert all(np.array_equal(learner.predict(t), x.argmax(1)) for t, x in zip(TASKS, logits, strict=True))
    return np.concatenate(logits)


@pytest.mark.parametrize(("name", "method"), [("simplecil", SimpleCil), ("aper", Aper)])
def test_prototypes_by_cosine(name, method):
    np.testing.assert_allclose(learned(of_written(method)), RECORDED[name], atol=ATOL)


@pytest.mark.parametrize("spaces", [[None], [None, 0]])
def test_the_formula_gives_the_same(spaces):
    """cos(f, mean of f over the class), of features side by side, in NumPy."""
    train, test = (np.concatenate([getattr(t, x) for t in TASKS]) for x in ("train_x", "test_x"))
    f, g = (np.concatenate([written.features(x, s).numpy().astype(float) for s in spaces], 1) for x in (train, test))
    means = np.stack([f[train // 10 == c].mean(0) for c in range(6)])
    cos = g @ means.T / np.linalg.norm(g, axis=1)[:, None] / np.linalg.norm(means, axis=1)
    np.testing.assert_allclose(cos, RECORDED["simplecil" if len(spaces) == 1 else "aper"], atol=ATOL)


@pytest.mark.parametrize(("name", "beta"), [("ease", 0.0), ("ease_beta", 0.5)])
def test_ease_with_its_completed_prototypes(name, beta):
    learner = of_written(Ease, alpha=0.3, beta=beta)
    remember, sets = learner.remember, learner.network.adapters.sets
    learner.remember = lambda task: (sets.append(None), remember(task))  # an adapter a task
    np.testing.assert_allclose(learned(learner), RECORDED[name], atol=ATOL)


def test_finetune_s_logits_and_losses():
    """One linear layer, or a head a task; the loss of a task is over its own logits."""
    w = torch.tensor(np.sin(np.arange(30.0)).reshape(6, written.WIDTH), dtype=torch.float32)
    b = torch.tensor(np.cos(np.arange(6.0)), dtype=torch.float32)
    whole, heads = LinearHead(written.WIDTH), TaskHeads(written.WIDTH)
    whole.grow(6, seed=0)
    whole.load_state_dict({"weight": w, "bias": b})
    losses = []
    for task in TASKS:
        rows = slice(task.labels.start, task.labels.stop)
        heads.grow(len(task.labels), seed=0)
        heads.heads[-1].load_state_dict({"weight": w[rows], "bias": b[rows]})
        labels = torch.tensor(task.train_y - task.labels.start)
        outputs = heads(written.features(task.train_x))
        losses.append(float(plain(F.cross_entropy, outputs, labels, torch.arange(len(labels))).detach()))
    test = written.features(np.concatenate([task.test_x for task in TASKS]))
    for head in (whole, heads):
        np.testing.assert_allclose(head.every(test).detach().numpy(), RECORDED["finetune"], atol=ATOL)
    np.testing.assert_allclose(losses, RECORDED["finetune_losses"], atol=ATOL)
