"""Micro-batches change what a forward holds, and nothing else."""

from __future__ import annotations

import pytest
import torch

from tests.training import toy
from zfscale.engine.deepspeed import Engine


def close(first, second):
    """Two trials told the same, to float tolerance."""
    assert [(s.task, s.step, s.lr, s.forwards) for s in first.steps] == [
        (s.task, s.step, s.lr, s.forwards) for s in second.steps
    ]
    assert [s.loss for s in first.steps] == pytest.approx([s.loss for s in second.steps], rel=1e-5)
    assert [(q.seed, q.accepted) for q in first.queries] == [(q.seed, q.accepted) for q in second.queries]
    coefficients = [q.coefficient for q in second.queries]
    assert [q.coefficient for q in first.queries] == pytest.approx(coefficients, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("micro_batch_size", [3, 4, 1, 100])
@pytest.mark.parametrize("optimizer", ["zo-sgd", "zo-adam-conserve", "forward-grad", "fo-sgd", "fo-adam"])
def test_steps_are_those_of_the_whole_batch(optimizer, micro_batch_size):
    """Batches of 8, 8 and 4; of 8 = 3 + 3 + 2, the last part counts for less."""
    found = []
    for size in (None, micro_batch_size):
        net = toy.network()
        more = {"eps": 0.1, "lr": 0.05, "queries": 2, "micro_batch_size": size}
        told = toy.fit(toy.spec(optimizer, epochs=2, batch_size=8, **more), net, toy.task(20))
        found.append((told, net.state_dict()))
    close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)


def test_the_engine_sees_the_parts(monkeypatch):
    seen = []
    call = Engine.__call__
    monkeypatch.setattr(Engine, "__call__", lambda self, x: seen.append(len(x)) or call(self, x))
    toy.fit(toy.spec(batch_size=8, micro_batch_size=3), data=toy.task(12))
    assert seen == [3, 3, 2, 3, 3, 2, 3, 1, 3, 1]


def test_the_error_rate_of_a_batch_in_parts_is_that_of_the_batch():
    told = [toy.fit(toy.spec(batch_size=8, objective="accuracy", micro_batch_size=m)) for m in (None, 3)]
    assert [s.loss for s in told[0].steps] == pytest.approx([s.loss for s in told[1].steps], abs=1e-6)
    assert all((s.loss * 16) % 1 == 0 for s in told[0].steps)


@pytest.mark.parametrize("optimizer", ["zo-sgd", "forward-grad", "fo-sgd"])
def test_a_trial_in_parts(optimizer, small):
    spec = small.spec("finetune", optimizer, optimizer__lr=0.01, optimizer__eps=0.1)
    parts = small.spec("finetune", optimizer, optimizer__lr=0.01, optimizer__eps=0.1, train__micro_batch_size=3)
    whole, cut = small.run(spec), small.run(parts)
    assert len(whole.steps) == len(cut.steps) > 0
    close(whole, cut)
