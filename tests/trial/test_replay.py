"""Base weights + ledger = weights at any step, bit for bit; and a killed trial goes on in the middle of a task."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from tests.conftest import OPTIMIZERS
from zfscale.errors import ZfscaleError
from zfscale.models.vit import load_base
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import TrialSpec
from zfscale.training import objective
from zfscale.training.batch import Batch
from zfscale.training.fit import Fit
from zfscale.training.journal import Journal
from zfscale.training.snapshots import Snapshots
from zfscale.trial import run as trial
from zfscale.trial.replay import replay
from zfscale.zo.catalogue import FIRST_ORDER
from zfscale.zo.ledger import MAGIC, Ledger

FORWARD_ONLY = [name for name in OPTIMIZERS if name not in FIRST_ORDER]
ALL = {
    "queries": 3,
    "sides": 1,
    "noise": "gaussian",
    "weight_decay": 0.01,
    "schedule": "cosine",
    "history": 0.4,
    "sparsity": 0.5,
    "clip": 1.0,
}
HYBRID = {"name": "fo-sgd", "lr": 0.1, "epochs": 1}
Weights = dict[str, torch.Tensor]


@pytest.fixture
def after(monkeypatch) -> list[Weights]:
    """The weights after each step that trials take from here on."""
    kept: list[Weights] = []
    networks: list[Any] = []
    begin, record = Fit.__init__, Journal.record

    def spy_begin(self, network, *rest):
        networks.append(network)
        begin(self, network, *rest)

    def spy_record(self, *step):
        record(self, *step)
        kept.append({k: v.clone() for k, v in networks[-1].state_dict().items()})

    monkeypatch.setattr(Fit, "__init__", spy_begin)
    monkeypatch.setattr(Journal, "record", spy_record)
    return kept


def optimized(small, method: str, optimizer: str, variant: dict[str, Any], **more: Any) -> TrialSpec:
    return small.spec(method, optimizer, **{f"optimizer__{k}": v for k, v in variant.items()}, **more)


def run_into(root: Path, spec: TrialSpec, small) -> None:
    sink = ParquetSink(About.of(root, "s", spec))
    snapshots = Snapshots(root, spec.trial_id)
    sink.close(trial.run(spec, small.base, small.data, sink, snapshots=snapshots))


def assert_same(directory: Path, weights: Weights) -> None:
    """The directory holds these weights, in every dtype the same numbers, also as transformers loads them."""
    loaded = {f"encoder.backbone.{k}": torch.tensor(v) for k, v in load_base(str(directory)).weights.items()}
    found = loaded | load_file(directory / "zfscale.safetensors")
    assert found.keys() == weights.keys()
    differ = [k for k, v in weights.items() if not torch.equal(found[k].to(torch.float32), v.to(torch.float32))]
    assert not differ


@pytest.mark.parametrize("variant", [{}, ALL], ids=["plain", "all"])
@pytest.mark.parametrize("optimizer", FORWARD_ONLY)
def test_replay_gives_the_weights_bit_for_bit(optimizer, variant, tmp_path, small, after):
    spec = optimized(small, "finetune", optimizer, variant)
    run_into(tmp_path / "r", spec, small)
    assert replay(tmp_path / "r", spec.trial_id, tmp_path / "m") == 6
    assert_same(tmp_path / "m", after[-1])


@pytest.mark.parametrize(("method", "added"), [("aper", "adapters."), ("ease", "adapters."), ("memo", "copies.")])
def test_replay_of_what_a_method_adds(method, added, tmp_path, small, after):
    spec = small.spec(method, "zo-adam")
    run_into(tmp_path / "r", spec, small)
    assert replay(tmp_path / "r", spec.trial_id, tmp_path / "m") == len(after)
    assert any(k.startswith(added) for k in after[-1])
    assert_same(tmp_path / "m", after[-1])


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16"])
@pytest.mark.parametrize("method", ["finetune", "ease"])
@pytest.mark.parametrize("optimizer", ["zo-sgd", "zo-adam"])
def test_replay_in_low_precision(optimizer, method, precision, tmp_path, small, after):
    spec = small.spec(method, optimizer, train__precision=precision, optimizer__eps=0.1)
    run_into(tmp_path / "r", spec, small)
    for step in (3, 6):
        replay(tmp_path / "r", spec.trial_id, tmp_path / str(step), step)
        assert_same(tmp_path / str(step), after[step - 1])
    if precision == "bf16":
        ours = load_file(tmp_path / "6" / "zfscale.safetensors")
        assert {v.dtype for v in ours.values()} == {torch.bfloat16}


@pytest.mark.parametrize("variant", [{}, {"history": 0.4, "sparsity": 0.9, "sign": "projected"}], ids=["plain", "all"])
@pytest.mark.parametrize(("method", "optimizer"), [("finetune", "zo-sgd-sign"), ("ease", "zo-adamm-conserve")])
def test_replay_of_a_hybrid(method, optimizer, variant, tmp_path, small, after):
    """Two steps an epoch: of a task's four, the first two go by backpropagation."""
    spec = optimized(small, method, optimizer, {**variant, "first_order": HYBRID}, train__epochs=2)
    run_into(tmp_path / "r", spec, small)
    assert len(after) == 12
    for step in (2, 3, 4, 6, 11, 12):
        replay(tmp_path / "r", spec.trial_id, tmp_path / str(step), step)
        assert_same(tmp_path / str(step), after[step - 1])
    for step in (1, 5, 9):
        with pytest.raises(ZfscaleError, match=rf"--step {step}: inside a first-order phase"):
            replay(tmp_path / "r", spec.trial_id, tmp_path / "m", step)


def test_replay_of_a_hybrid_needs_its_snapshots(tmp_path, small, after):
    spec = optimized(small, "ease", "zo-sgd", {"first_order": HYBRID}, train__epochs=2)
    run_into(tmp_path / "r", spec, small)
    (tmp_path / "r" / "snapshots" / spec.trial_id / "task-2.safetensors").unlink()
    replay(tmp_path / "r", spec.trial_id, tmp_path / "m", 4)  # of the first task alone
    with pytest.raises(ZfscaleError, match="snapshot"):
        replay(tmp_path / "r", spec.trial_id, tmp_path / "m")


def test_replay_of_a_hybrid_that_is_all_first_order(tmp_path, small, after):
    spec = optimized(small, "finetune", "zo-sgd", {"first_order": HYBRID})
    run_into(tmp_path / "r", spec, small)
    for step in (2, 4, 6):  # ends of first-order phases, all of them
        replay(tmp_path / "r", spec.trial_id, tmp_path / str(step), step)
        assert_same(tmp_path / str(step), after[step - 1])


def test_a_skipped_step_is_skipped_again(tmp_path, small, after, monkeypatch):
    """By replay, and by a trial that was killed behind it."""
    calls = iter(range(10**6))

    def loss(logits, labels):
        return F.cross_entropy(logits, labels) * (math.nan if next(calls) % 12 == 5 else 1)

    monkeypatch.setitem(objective.OBJECTIVES, "cross_entropy", loss)
    spec = small.spec("finetune", "zo-adam")
    run_into(tmp_path / "r", spec, small)
    whole = after[-1]
    assert replay(tmp_path / "r", spec.trial_id, tmp_path / "m") == 6
    assert_same(tmp_path / "m", whole)
    ledger = tmp_path / "ledger"
    told = small.run(spec, ledger=Ledger(ledger))
    assert [q.accepted for q in told.queries] == [1, 1, 0, 1, 1, 1]
    ledger.write_bytes(ledger.read_bytes()[: -2 * 32])
    assert len(Ledger(ledger).past) == 4
    assert small.run(spec, ledger=Ledger(ledger)).told == told.told


def test_step_zero_is_the_base_and_the_directory_is_an_ordinary_one(tmp_path, small, tiny_vit):
    spec = small.spec("finetune")
    run_into(tmp_path / "r", spec, small)
    assert replay(tmp_path / "r", spec.trial_id, tmp_path / "m", step=0) == 0
    base, again = load_base(str(tiny_vit)), load_base(str(tmp_path / "m"))
    assert again.pixels == base.pixels
    assert base.weights.keys() == again.weights.keys()
    assert all((base.weights[k] == again.weights[k]).all() for k in base.weights)
    assert replay(tmp_path / "r", spec.trial_id, tmp_path / "n", step=1) == 1
    moved = load_base(str(tmp_path / "n"))
    assert any((base.weights[k] != moved.weights[k]).any() for k in base.weights)


def test_a_trial_of_other_arithmetic_is_not_replayed(tmp_path, small, monkeypatch):
    from zfscale.trial import run as trial

    monkeypatch.setattr(trial, "ARITHMETIC", 1)
    spec = small.spec("finetune")
    run_into(tmp_path / "r", spec, small)
    with pytest.raises(ZfscaleError, match="of a version with other noise"):
        replay(tmp_path / "r", spec.trial_id, tmp_path / "m")


def test_what_cannot_be_replayed_is_a_clear_error(tmp_path, small):
    spec = small.spec("finetune", "fo-sgd")
    run_into(tmp_path / "r", spec, small)
    with pytest.raises(ZfscaleError, match="first-order"):
        replay(tmp_path / "r", spec.trial_id, tmp_path / "m")
    with pytest.raises(ZfscaleError, match=f"no finished trial 'nosuch'.*{spec.trial_id}"):
        replay(tmp_path / "r", "nosuch", tmp_path / "m")
    spec = small.spec("finetune")
    run_into(tmp_path / "r", spec, small)
    with pytest.raises(ZfscaleError, match="took 6 steps; allowed: 0 to 6"):
        replay(tmp_path / "r", spec.trial_id, tmp_path / "m", step=13)


@pytest.mark.parametrize("optimizer", ["zo-sgd-conserve", "zo-adam"])
@pytest.mark.parametrize("kept", [0, 1, 3, 6])
def test_a_killed_trial_goes_on_from_its_ledger(kept, optimizer, tmp_path, small, monkeypatch):
    """Cut the ledger after any step, with a torn record behind: the rest comes out the same, at the rest's price."""
    spec = small.spec("ease", optimizer)
    whole = small.run(spec, ledger=Ledger(tmp_path / "whole"))
    past = Ledger(tmp_path / "whole").past
    assert len(past) == 6
    size = len(MAGIC) + sum(len(e.pack()) for e in past[:kept])
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:size] + past[0].pack()[:20])

    forwards = []
    original = Batch.share
    monkeypatch.setattr(Batch, "share", lambda self: forwards.append(1) or original(self))
    resumed = small.run(spec, ledger=Ledger(tmp_path / "cut"))
    assert resumed.told == whole.told
    assert resumed.outcome.forwards == whole.outcome.forwards
    assert len(forwards) == sum(e.forwards for e in past[kept:])
    assert Ledger(tmp_path / "cut").past[:kept] == past[:kept]
    assert [e.coefficients for e in Ledger(tmp_path / "cut").past] == [e.coefficients for e in past]
