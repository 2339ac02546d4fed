"""The loss of earlier tasks during training: by the formula, and without a trace in the training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.trial.test_replay import HYBRID
from zfscale.errors import ZfscaleError
from zfscale.methods.ease import ensemble
from zfscale.methods.old_loss import OldLoss
from zfscale.methods.prototypes import cosine
from zfscale.recording import Recording
from zfscale.streams.class_incremental import ClassIncremental, Task
from zfscale.testing.running import Kept, learners
from zfscale.training.snapshots import Snapshots
from zfscale.trial.inputs import Inputs
from zfscale.trial.run import run
from zfscale.zo.ledger import Entry

METHODS = ["ease", "finetune", "memo", "lwf", "ewc", "rehearsal"]


def watched(small, method: str, optimizer: str, **more):
    return small.spec(
        method, optimizer, stream={**small.spec_of["stream"], "old_loss_every": 1}, train__epochs=2, **more
    )


def losses(told) -> dict[tuple[int, int], float]:
    """(task, steps taken) -> the loss."""
    return {(e.stage, int(e.metric[9:])): e.value for e in told.evals if e.metric.startswith("old_loss@")}


@pytest.mark.parametrize("optimizer", ["fo-adam", "zo-adam", "forward-grad"])
@pytest.mark.parametrize("method", METHODS)
def test_training_is_as_without_it(method, optimizer, small):
    plain = small.run(small.spec(method, optimizer, train__epochs=2))
    told = small.run(watched(small, method, optimizer))
    assert [e for e in told.evals if not e.metric.startswith("old_loss@")] == plain.evals
    assert [(s.loss, s.forwards) for s in told.steps] == [(s.loss, s.forwards) for s in plain.steps]
    assert told.queries == plain.queries
    later = [(s.task, s.step + 1) for s in told.steps if s.task > 1]
    assert list(losses(told)) == later


def by_prototypes(learner, x: np.ndarray) -> torch.Tensor:
    """EASE's logits from what it predicts by once a task is learned."""
    scores = torch.stack([cosine(learner.features(x, j), p) for j, p in enumerate(learner._prototypes)])
    logits = ensemble(scores, [2, 2, 2], learner.spec.method.alpha)
    if learner.spec.method.beta:
        logits = logits + learner.spec.method.beta * cosine(learner.features(x), torch.cat(learner._plain))
    return logits


@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("method", METHODS)
def test_the_last_look_is_the_loss_of_the_method_as_it_then_predicts(method, beta, small):
    """What the task has left is what was looked at; for 12 old images or fewer, all of them are looked at."""
    if beta and method != "ease":
        pytest.skip("an option of EASE")
    spec = watched(small, method, "fo-adam", **({"method__beta": beta} if beta else {}))
    with learners() as made:
        told = small.run(spec)
    stream = ClassIncremental.of(spec.stream, small.data)
    learner: Any = made[0]
    old = list(stream)[:2]
    x, y = (np.concatenate([getattr(task, name) for task in old]) for name in ("train_x", "train_y"))
    seen = Task(3, stream[2].labels, x, y, x, y)
    step = max(step for task, step in losses(told) if task == 3)
    logits = by_prototypes(learner, x) if method == "ease" else learner.logits(x, seen)
    expected = torch.logsumexp(logits, 1) - logits[range(len(y)), y]
    assert losses(told)[3, step] == pytest.approx(float(expected.mean()), abs=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "more"), [("zo-adam", {}), ("fo-adam", {}), ("zo-adam", {"first_order": HYBRID})]
)
def test_a_resumed_trial_has_looked_at_every_step(optimizer, more, small, tmp_path):
    spec = watched(small, "ease", optimizer, **{f"optimizer__{key}": value for key, value in more.items()})
    inputs, snapshots = Inputs([spec]), Snapshots(tmp_path, spec.trial_id)
    told: list[Recording] = []
    past: list[Entry] = []
    for _ in range(2):
        ledger = Kept(past)
        ledger.drop = lambda count: None  # type: ignore[method-assign]
        told.append(Recording())
        told[-1].close(run(spec, *inputs.of(spec), told[-1], ledger=ledger, snapshots=snapshots))
        past = ledger.entries[:6]
    assert told[1].told == told[0].told
    assert len(losses(told[0])) == 8


def test_the_sample_is_of_all_old_tasks_and_fixed():
    def task(index: int, n: int) -> Task:
        x = np.full((n, 1, 1, 1), index, dtype=np.uint8)
        return Task(index, range(index, index + 1), x, np.full(n, index), x, np.full(n, index))

    few = OldLoss.of([task(1, 10), task(2, 20)], 5, seed=0)
    assert sorted(few.y) == [1] * 10 + [2] * 20
    many, again, other = (OldLoss.of([task(1, 400), task(2, 1200)], 5, seed) for seed in (0, 0, 1))
    assert len(many.y) == 256
    assert (many.x[:, 0, 0, 0] == many.y).all()
    assert 40 < (many.y == 1).sum() < 90
    assert np.array_equal(many.y, again.y)
    assert not np.array_equal(many.y, other.y)


def test_a_method_without_logits_says_so(small, monkeypatch):
    from zfscale.methods.classes import ClassLearner
    from zfscale.methods.finetune import Finetune

    monkeypatch.setattr(Finetune, "logits", ClassLearner.logits)
    monkeypatch.setattr(Finetune, "predict", lambda self, task: task.test_y)
    with pytest.raises(ZfscaleError, match="finetune has no `logits`"):
        small.run(watched(small, "finetune", "zo-sgd"))
