"""The contract of every method, and the formulas of EASE against a plain loop."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from tests.conftest import OPTIMIZERS
from zfscale.methods.catalogue import METHODS, of_stream
from zfscale.methods.ease import complete, ensemble
from zfscale.testing.trials import LearnerContract
from zfscale.training.journal import Journal


@pytest.mark.parametrize("method", of_stream("class_incremental"))
def test_contract(method, small):
    """Every method sees each stage, predicts seen classes only, and says what it trained on."""
    spec = small.spec(method)
    memory = small.run(spec)
    assert memory.outcome.status == "finished"
    pairs = [(e.stage, e.task) for e in memory.evals if e.metric == "accuracy"]
    assert pairs == [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)]
    assert all(0 <= e.value <= 1 for e in memory.evals)
    assert sorted({s.task for s in memory.steps}) == [k for k in (1, 2, 3) if METHODS[method].load().trains(spec, k)]
    # 16 training images a task, and those of a buffer, in batches of 8; two forwards a step
    sizes = METHODS[method].load().examples(spec, small.tasks(spec))
    assert sizes == [16, 32, 48] if method in ("rehearsal", "memo") else set(sizes) <= {16}
    assert memory.outcome.forwards == 2 * sum(-(-n // 8) for n in sizes)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", ["finetune", "ease"])
def test_every_optimizer_runs_and_repeats_bit_for_bit(method, optimizer, small):
    spec = small.spec(method, optimizer)
    torch.manual_seed(1)
    first = small.run(spec)
    torch.manual_seed(2)  # whatever the process drew before must not matter
    torch.rand(3)
    assert small.run(spec).told == first.told
    least, most = spec.optimizing.forwards(spec.optimizer)
    assert 6 * least <= first.outcome.forwards <= 6 * most
    assert len(first.queries) == (0 if optimizer.startswith("fo-") else 6)


@pytest.mark.parametrize("optimizer", ["zo-sgd", "fo-adam"])
@pytest.mark.parametrize("method", ["finetune", "ease", "aper"])
def test_at_rate_zero_no_step_is_taken_and_nothing_changes(method, optimizer, small, memory):
    spec = small.spec(method, optimizer, optimizer__lr=0.0)
    built = METHODS[method].load()(spec, small.base)
    before = {k: v.clone() for k, v in built.network.encoder.state_dict().items()}
    for task in small.tasks(spec):
        built.learn(task, Journal(memory))
    after = built.network.encoder.state_dict()
    assert not memory.steps
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_untrained_adapters_make_aper_agree_with_simplecil(small):
    """With lr 0 the adapters add nothing, so every subspace is the pretrained one."""
    values = [small.run(small.spec(method, optimizer__lr=0.0)).evals for method in ("simplecil", "aper")]
    assert values[0] == values[1]


@pytest.mark.parametrize("method", ["ease", "aper"])
def test_a_head_of_prototypes_starts_as_the_nearest_class_mean(method, small):
    """Against NumPy: its logits are the scaled cosines to the class means of the pretrained features."""
    spec = small.spec(method, method__head_start="prototypes", method__head_scale=8.0)
    learner = METHODS[method].load()(spec, small.base)
    task = small.tasks(spec)[0]
    learner.begin(task)
    f = learner.pretrained_features(task, "train").double().numpy()
    means = np.stack([f[task.train_y == c].mean(0) for c in task.labels])
    cosines = (f / np.linalg.norm(f, axis=1, keepdims=True)) @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    with torch.no_grad():
        found = learner.network.head(torch.tensor(f, dtype=torch.float32))
    np.testing.assert_allclose(found.numpy(), 8 * cosines, rtol=1e-4, atol=1e-4)
    assert all(p.requires_grad for p in learner.network.head.parameters())


def test_features_in_another_number_format_are_others(small):
    cache: dict[Any, Any] = {}
    for dtype in ("fp32", "bf16", "fp32"):
        small.run(small.spec("simplecil", "fo-sgd", engine={"stage": 1, "dtype": dtype}), cache=cache)
    assert len(cache) == 2 * 2 * 3  # formats, splits, tasks


def test_ease_completion_follows_the_formula():
    rng = np.random.default_rng(0)
    tasks, m, d = 3, 2, 5
    measured = [[torch.tensor(rng.normal(size=(m, d))) for _ in range(i + 1)] for i in range(tasks)]
    full = complete(measured)
    for j in range(tasks):
        for i in range(tasks):
            got = full[j][i * m : (i + 1) * m].numpy()
            if j <= i:
                assert np.array_equal(got, measured[i][j].numpy())
                continue
            for c in range(m):
                p = measured[i][i][c].numpy()
                ks = [(k, n) for k in range(j, tasks) for n in range(m)]
                olds = [measured[k][i][n].numpy() for k, n in ks]
                cos = np.array([p @ q / np.linalg.norm(p) / np.linalg.norm(q) for q in olds])
                s = np.exp(cos) / np.exp(cos).sum()
                want = sum(w * measured[k][j][n].numpy() for w, (k, n) in zip(s, ks, strict=True))
                np.testing.assert_allclose(got[c], want, rtol=1e-10)


def test_ease_ensemble_follows_the_formula():
    rng = np.random.default_rng(1)
    scores = torch.tensor(rng.normal(size=(3, 4, 6)))  # T, N, K
    logits = ensemble(scores, [2, 2, 2], alpha=0.3).numpy()
    for n in range(4):
        for c in range(6):
            own = scores[c // 2, n, c]
            others = sum(scores[j, n, c] for j in range(3) if j != c // 2)
            assert logits[n, c] == pytest.approx(float(own + 0.3 / 2 * others))
    assert torch.equal(ensemble(scores[:1, :, :2], [2], 0.3), scores[0, :, :2])


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_ease_with_fewer_subspaces_follows_the_formulas(kept):
    """Of 4 tasks of 2 classes; the own subspace of a later task is the last one."""
    rng = np.random.default_rng(2)
    measured = [[torch.tensor(rng.normal(size=(2, 5))) for _ in range(min(i + 1, kept))] for i in range(4)]
    full = complete(measured)
    assert [tuple(p.shape) for p in full] == [(8, 5)] * kept
    whole = complete(
        [[*row, *(torch.zeros(2, 5).double() for _ in range(i + 1 - len(row)))] for i, row in enumerate(measured)]
    )
    assert all(torch.equal(some, all_of) for some, all_of in zip(full, whole, strict=False))
    scores = torch.tensor(rng.normal(size=(kept, 3, 8)))
    logits = ensemble(scores, [2, 2, 2, 2], alpha=0.3)
    for c in range(8):
        own = min(c // 2, kept - 1)
        others = sum((scores[j, :, c] for j in range(kept) if j != own), torch.zeros(3).double())
        torch.testing.assert_close(logits[:, c], scores[own, :, c] + 0.3 / max(kept - 1, 1) * others)


@pytest.mark.parametrize("kept", [1, 2])
def test_ease_trains_as_many_adapters_as_it_keeps(kept, small):
    spec = small.spec("ease", method__adapters_kept=kept)
    told = small.run(spec)
    assert sorted({s.task for s in told.steps}) == list(range(1, kept + 1))
    assert told.outcome.forwards == 2 * 2 * kept
    every = small.run(small.spec("ease", method__adapters_kept=3))
    assert every.evals == small.run(small.spec("ease")).evals
    assert [e.value for e in told.evals[: 2 * kept - 1]] == [e.value for e in every.evals[: 2 * kept - 1]]


class TestEaseWithOneAdapter(LearnerContract):
    method: ClassVar[dict[str, Any]] = {"name": "ease", "adapters_kept": 1, "alpha": 1.0, "beta": 1.0}
