"""Low precision: what is stored and computed in which dtype, and that every optimizer runs in it."""

from __future__ import annotations

import math

import pytest
import torch

from tests.conftest import OPTIMIZERS
from zfscale.methods.base import to_tensor
from zfscale.methods.catalogue import METHODS
from zfscale.models.vit import build
from zfscale.training.trainers import FirstOrder, ForwardOnly

BF16, FP32 = torch.bfloat16, torch.float32
LOW = ["bf16-mixed", "bf16"]


@pytest.mark.parametrize("method", ["finetune", "ease"])
@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_runs_and_repeats_bit_for_bit(optimizer, precision, method, small):
    """Two tasks, so that what is trained for the first is frozen for the second."""
    stream = {"dataset": small.spec().stream.dataset.model_dump(), "tasks": 2}
    spec = small.spec(method, optimizer, stream=stream, train__batch_size=16, train__precision=precision)
    told = small.run(spec)
    assert small.run(spec).told == told.told
    assert len(told.steps) == 4
    assert all(math.isfinite(step.loss) for step in told.steps)


@pytest.mark.parametrize("method", ["simplecil", "aper"])
@pytest.mark.parametrize("precision", LOW)
def test_methods_that_hardly_train_run(precision, method, small):
    assert small.run(small.spec(method, train__precision=precision)).outcome.status == "finished"


def trainer(small, method: str, precision: str, kind=ForwardOnly):
    """The method in its first task, about to take a step on its first 8 images."""
    spec = small.spec(method, "zo-sgd" if kind is ForwardOnly else "fo-sgd", train__precision=precision)
    m, task = METHODS[method].load()(spec, small.base), small.tasks(spec)[0]
    m.begin(task)
    more = () if kind is ForwardOnly else ("fo-sgd",)
    t = kind(m.network, m.engine, spec, task, *more)
    t.batch.load(task.train_x[:8], task.train_y[:8])
    return m, t


@pytest.mark.parametrize("kind", [ForwardOnly, FirstOrder])
@pytest.mark.parametrize(("precision", "trained"), [("fp32", FP32), ("bf16-mixed", FP32), ("bf16", BF16)])
@pytest.mark.parametrize("method", ["finetune", "ease"])
def test_dtypes(method, precision, trained, kind, small):
    m, t = trainer(small, method, precision, kind)
    frozen = FP32 if precision == "fp32" else BF16
    for _, p in m.network.named_parameters():
        assert p.dtype == (trained if p.requires_grad else frozen)
    assert {leaf.name.split(".")[0] for leaf in t.leaves} == (
        {"encoder", "head"} if method == "finetune" else {"adapters", "head"}
    )
    assert t.leaves.flat.dtype == trained
    assert {leaf.seen for leaf in t.leaves if leaf.name.startswith("head")} == {trained}
    assert {leaf.seen for leaf in t.leaves if not leaf.name.startswith("head")} == {frozen}
    loss = t.batch.loss()
    assert loss.dtype == FP32
    assert m.engine(t.batch.x).dtype == FP32
    result = t.step(1, 0.01, 0)
    assert math.isfinite(result.loss)
    assert t.leaves.flat.dtype == trained


@pytest.mark.parametrize("precision", LOW)
def test_hooks_leave_the_features_as_they_are(precision, small):
    """In every precision the weights a forward sees are the base's in bf16, wherever fp32 masters are kept."""
    bare = build(small.base).to(BF16)
    bare.dtype = BF16
    task = small.tasks(small.spec())[0]
    with torch.no_grad():
        expected = bare(to_tensor(task.train_x, torch.device("cpu"))).float()
    for method in ("simplecil", "aper", "ease", "finetune"):
        m = METHODS[method].load()(small.spec(method, train__precision=precision), small.base)
        if method != "finetune":  # until its first task, nothing of it is in its place
            assert torch.equal(m.features(task.train_x), expected)
        if method == "simplecil":
            continue
        m.begin(task)
        ForwardOnly(m.network, m.engine, m.spec, task)
        assert torch.equal(m.features(task.train_x, None), expected)
        m.settle(task)
        assert torch.equal(m.features(task.train_x, None), expected)
