"""Base weights + ledger = weights at any step, bit for bit; and a killed trial goes on in the middle of a task."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import OPTIMIZERS, Memory
from zfscale import trial
from zfscale.errors import ZfscaleError
from zfscale.methods import METHODS
from zfscale.methods.trainers import FIRST_ORDER
from zfscale.models.vit import load_base
from zfscale.replay import replay
from zfscale.sinks import make_sinks
from zfscale.spec import TrialSpec
from zfscale.streams.datasets import load
from zfscale.zo.ledger import Ledger

FORWARD_ONLY = [name for name in OPTIMIZERS if name not in FIRST_ORDER]
VARIANTS = [
    {},
    {
        "queries": 3,
        "sides": 1,
        "noise": "gaussian",
        "weight_decay": 0.01,
        "schedule": "cosine",
        "history": 0.4,
        "sparsity": 0.5,
        "clip": 1.0,
    },
]


def make_spec(tiny_vit, image_folder, method, optimizer, **more):
    return TrialSpec.model_validate(
        {
            "model": {"name": str(tiny_vit)},
            "stream": {"dataset": {"path": str(image_folder), "format": "imagefolder"}, "tasks": 3},
            "method": {"name": method, "bottleneck": 4},
            "optimizer": {"name": optimizer, "lr": OPTIMIZERS[optimizer], **more},
            "train": {"epochs": 1, "batch_size": 8},
        }
    )


@pytest.fixture(scope="module")
def inputs(tiny_vit, image_folder, request):
    base = load_base(str(tiny_vit))
    spec = make_spec(tiny_vit, image_folder, "ease", "zo-sgd")
    return base, load(spec.stream.dataset, base.pixels.size)


def run_into(root: Path, spec: TrialSpec, inputs) -> None:
    sink = make_sinks(root, "s", spec.trial_id, spec.to_json(), spec.leaves(), wandb_mode="disabled")
    sink.close(trial.run(spec, *inputs, sink))


def trained(spec: TrialSpec, inputs, monkeypatch) -> dict[str, torch.Tensor]:
    """All weights at the end of a trial, taken from the method itself."""
    kept = {}
    kind = METHODS[spec.method.name]
    original = kind.remember

    def spy(self, task):
        original(self, task)
        kept.update({k: v.clone() for k, v in self.network.state_dict().items()})

    monkeypatch.setattr(kind, "remember", spy)
    trial.run(spec, *inputs, Memory())
    return kept


@pytest.mark.parametrize("variant", VARIANTS, ids=["plain", "all"])
@pytest.mark.parametrize("optimizer", FORWARD_ONLY)
def test_replay_gives_the_weights_bit_for_bit(
    optimizer, variant, tmp_path, inputs, tiny_vit, image_folder, monkeypatch
):
    spec = make_spec(tiny_vit, image_folder, "finetune", optimizer, **variant)
    run_into(tmp_path / "r", spec, inputs)
    weights = trained(spec, inputs, monkeypatch)
    assert replay(tmp_path / "r", spec.trial_id, tmp_path / "m") == 6
    backbone = load_base(str(tmp_path / "m")).weights
    ours = load_file(tmp_path / "m" / "zfscale.safetensors")
    found = {f"encoder.backbone.{k}": torch.tensor(v) for k, v in backbone.items()} | ours
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], value) for name, value in weights.items())


@pytest.mark.parametrize("method", ["aper", "ease"])
def test_replay_of_adapters(method, tmp_path, inputs, tiny_vit, image_folder, monkeypatch):
    spec = make_spec(tiny_vit, image_folder, method, "zo-adam")
    run_into(tmp_path / "r", spec, inputs)
    weights = trained(spec, inputs, monkeypatch)
    replay(tmp_path / "r", spec.trial_id, tmp_path / "m")
    ours = load_file(tmp_path / "m" / "zfscale.safetensors")
    adapters = {k: v for k, v in weights.items() if k.startswith("adapters.")}
    assert adapters
    assert all(torch.equal(ours[k], v) for k, v in adapters.items())


def test_step_zero_is_the_base_and_the_directory_is_an_ordinary_one(tmp_path, inputs, tiny_vit, image_folder):
    spec = make_spec(tiny_vit, image_folder, "finetune", "zo-sgd")
    run_into(tmp_path / "r", spec, inputs)
    assert replay(tmp_path / "r", spec.trial_id, tmp_path / "m", step=0) == 0
    base, again = load_base(str(tiny_vit)), load_base(str(tmp_path / "m"))
    assert again.pixels == base.pixels
    assert base.weights.keys() == again.weights.keys()
    assert all((base.weights[k] == again.weights[k]).all() for k in base.weights)
    assert replay(tmp_path / "r", spec.trial_id, tmp_path / "n", step=1) == 1
    moved = load_base(str(tmp_path / "n"))
    assert any((base.weights[k] != moved.weights[k]).any() for k in base.weights)


def test_what_cannot_be_replayed_is_a_clear_error(tmp_path, inputs, tiny_vit, image_folder):
    spec = make_spec(tiny_vit, image_folder, "finetune", "fo-sgd")
    run_into(tmp_path / "r", spec, inputs)
    with pytest.raises(ZfscaleError, match="first-order"):
        replay(tmp_path / "r", spec.trial_id, tmp_path / "m")
    with pytest.raises(ZfscaleError, match=f"no finished trial 'nosuch'.*{spec.trial_id}"):
        replay(tmp_path / "r", "nosuch", tmp_path / "m")
    spec = make_spec(tiny_vit, image_folder, "finetune", "zo-sgd")
    run_into(tmp_path / "r", spec, inputs)
    with pytest.raises(ZfscaleError, match="took 6 steps; allowed: 0 to 6"):
        replay(tmp_path / "r", spec.trial_id, tmp_path / "m", step=13)


@pytest.mark.parametrize("optimizer", ["zo-sgd-conserve", "zo-adam"])
@pytest.mark.parametrize("kept", [1, 3, 6])
def test_a_killed_trial_goes_on_from_its_ledger(kept, optimizer, tmp_path, inputs, tiny_vit, image_folder, monkeypatch):
    """Cut the ledger after any step, with a torn record behind: the rest comes out the same, at the rest's price."""
    spec = make_spec(tiny_vit, image_folder, "ease", optimizer)
    whole, resumed = Memory(), Memory()
    first = Ledger(tmp_path / "whole")
    outcome = trial.run(spec, *inputs, whole, ledger=first)
    past = Ledger(tmp_path / "whole").past
    assert len(past) == 6
    (tmp_path / "cut").write_bytes(b"".join(e.pack() for e in past[:kept]) + past[0].pack()[:20])

    from zfscale.methods import fit

    forwards = []
    original = fit.Batch.loss
    monkeypatch.setattr(fit.Batch, "loss", lambda self: forwards.append(1) or original(self))
    again = trial.run(spec, *inputs, resumed, ledger=Ledger(tmp_path / "cut"))
    assert resumed.queries == whole.queries
    assert resumed.evals == whole.evals
    assert [(s.task, s.step, s.loss, s.lr, s.forwards) for s in resumed.steps] == [
        (s.task, s.step, s.loss, s.lr, s.forwards) for s in whole.steps
    ]
    assert again.forwards == outcome.forwards
    assert len(forwards) == outcome.forwards - past[kept - 1].forwards
