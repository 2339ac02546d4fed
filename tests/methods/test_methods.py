"""The contract of every method, and the formulas of EASE against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conftest import OPTIMIZERS
from zfscale import trial
from zfscale.methods import METHODS
from zfscale.methods.ease import complete, ensemble
from zfscale.models.vit import load_base
from zfscale.spec import TrialSpec
from zfscale.streams.datasets import load
from zfscale.sweep.plan import forwards_per_step


def make_spec(tiny_vit, image_folder, method="ease", optimizer="zo-sgd", **changes):
    spec = {
        "model": {"name": str(tiny_vit)},
        "stream": {"dataset": {"path": str(image_folder), "format": "imagefolder"}, "tasks": 3},
        "method": {"name": method, "bottleneck": 4},
        "optimizer": {"name": optimizer, "lr": OPTIMIZERS[optimizer]},
        "train": {"epochs": 1, "batch_size": 8},
    }
    for path, value in changes.items():
        block, _, key = path.partition("__")
        spec[block] = {**spec[block], key: value} if key else value
    return TrialSpec.model_validate(spec)


@pytest.fixture(scope="module")
def inputs(tiny_vit, image_folder):
    base = load_base(str(tiny_vit))
    spec = make_spec(tiny_vit, image_folder)
    return base, load(spec.stream.dataset, base.pixels.size)


@pytest.mark.parametrize("method", METHODS)
def test_contract(method, inputs, tiny_vit, image_folder, memory):
    """Every method sees each stage, predicts seen classes only, and says what it trained on."""
    spec = make_spec(tiny_vit, image_folder, method)
    outcome = trial.run(spec, *inputs, memory)
    assert outcome.status == "finished"
    pairs = [(e.stage, e.task) for e in memory.evals if e.metric == "accuracy"]
    assert pairs == [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)]
    assert all(0 <= e.value <= 1 for e in memory.evals)
    assert sorted({s.task for s in memory.steps}) == [k for k in (1, 2, 3) if METHODS[method].trains(k)]
    # 16 training images a task in batches of 8: two steps of two forwards
    assert outcome.forwards == 4 * sum(METHODS[method].trains(k) for k in (1, 2, 3))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", ["finetune", "ease"])
def test_every_optimizer_runs_and_repeats_bit_for_bit(method, optimizer, inputs, tiny_vit, image_folder):
    from tests.conftest import Memory

    spec = make_spec(tiny_vit, image_folder, method, optimizer)
    first, second = Memory(), Memory()
    torch.manual_seed(1)
    outcome = trial.run(spec, *inputs, first)
    torch.manual_seed(2)  # whatever the process drew before must not matter
    torch.rand(3)
    trial.run(spec, *inputs, second)
    assert [(s.loss, s.lr) for s in first.steps] == [(s.loss, s.lr) for s in second.steps]
    assert first.queries == second.queries
    assert first.evals == second.evals
    least, most = forwards_per_step(spec.optimizer)
    assert 6 * least <= outcome.forwards <= 6 * most
    assert len(first.queries) == (0 if optimizer.startswith("fo-") else 6)


@pytest.mark.parametrize("method", ["finetune", "ease", "aper"])
def test_a_zero_learning_rate_changes_nothing(method, inputs, tiny_vit, image_folder, memory):
    spec = make_spec(tiny_vit, image_folder, method, optimizer__lr=0.0)
    built = METHODS[method](spec, inputs[0])
    before = {k: v.clone() for k, v in built.network.encoder.state_dict().items()}
    from zfscale.methods.journal import Journal
    from zfscale.streams import STREAMS

    stream = STREAMS["class_incremental"](inputs[1], 3, 1993)
    for task in stream:
        built.learn(task, Journal(memory))
    after = built.network.encoder.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_untrained_adapters_make_ease_and_aper_agree_with_simplecil(inputs, tiny_vit, image_folder):
    """With lr 0 the adapters add nothing, so every subspace is the pretrained one."""
    from tests.conftest import Memory

    values = {}
    for method in ("simplecil", "aper"):
        sink = Memory()
        trial.run(make_spec(tiny_vit, image_folder, method, optimizer__lr=0.0), *inputs, sink)
        values[method] = [e.value for e in sink.evals]
    assert values["aper"] == values["simplecil"]


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


def test_divergence_is_a_clear_error(inputs, tiny_vit, image_folder, memory):
    from zfscale.methods.fit import Diverged

    spec = make_spec(tiny_vit, image_folder, "finetune", "fo-sgd", optimizer__lr=1e30, train__epochs=4)
    with pytest.raises(Diverged, match=r"task 1, step \d+: the loss is (nan|inf)"):
        trial.run(spec, *inputs, memory)
