"""Domain-incremental trials on images: a tiny masked autoencoder, two domains of generated stripes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import OPTIMIZERS, Memory
from tests.models import small_mims
from zfscale.data.image_data import ImageData
from zfscale.methods import domains as methods
from zfscale.methods.base import embed
from zfscale.methods.catalogue import of_stream
from zfscale.methods.domains import DomainLearner
from zfscale.models.masked_image import MaskedImageNetwork
from zfscale.models.mim import build_mim, load_mim
from zfscale.models.precision import PRECISIONS
from zfscale.pretraining.card import accuracy as class_mean_accuracy
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import TrialSpec
from zfscale.trial import cost as plan
from zfscale.trial import run as trial
from zfscale.trial.inputs import Inputs
from zfscale.trial.replay import replay
from zfscale.zo.ledger import Ledger

Spec = Callable[..., TrialSpec]


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Dark pictures with stripes across, bright ones with stripes down; the class is how wide a stripe is."""
    root, rng, listed = tmp_path_factory.mktemp("stripes"), np.random.default_rng(0), []
    for name, (low, high) in {"across": (0, 90), "down": (150, 255)}.items():
        for width in (2, 4):
            (root / name / str(width)).mkdir(parents=True)
            for i in range(20):
                line = np.where((np.arange(12) + rng.integers(8)) // width % 2, low, high)
                picture = np.tile(line, (12, 1)) if name == "down" else np.tile(line[:, None], 12)
                noisy = np.clip(picture + rng.normal(0, 8, (12, 12)), 0, 255).astype(np.uint8)
                Image.fromarray(noisy).save(root / name / str(width) / f"{i}.png")
        listed.append({"name": name, "dataset": {"path": str(root / name), "format": "imagefolder"}})
    upstream = {"name": "digits"}
    return {"kind": "domain_incremental", "domains": listed, "upstream": upstream, "held_out_images": 6}


@pytest.fixture(scope="module")
def spec(stream: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Spec:
    path = small_mims.saved("vit_mae", tmp_path_factory.mktemp("mae"), channels=1)

    def make(method: str = "sequential", optimizer: str = "zo-sgd", **changes: Any) -> TrialSpec:
        given: dict[str, Any] = {
            "model": {"name": path},
            "stream": stream,
            "method": {"name": method},
            "optimizer": {"name": optimizer, "lr": OPTIMIZERS[optimizer]},
            "train": {"epochs": 1, "batch_size": 8, "objective": "reconstruction"},
        }
        for leaf, value in changes.items():
            block, _, key = leaf.partition("__")
            given[block] = {**given[block], key: value} if key else value
        return TrialSpec.model_validate(given)

    return make


def run(given: TrialSpec, **more: Any) -> Memory:
    base, data = Inputs([given]).of(given)
    sink = Memory()
    sink.close(trial.run(given, base, data, sink, **more))
    return sink


def value(told: Memory, stage: int, task: int, metric: str) -> float:
    (found,) = [e.value for e in told.evals if (e.stage, e.task, e.metric) == (stage, task, metric)]
    return found


@pytest.mark.parametrize("method", of_stream("domain_incremental"))
def test_every_method_measures_loss_and_accuracy_of_all_domains(method: str, spec: Spec) -> None:
    given = spec(method)
    told = run(given)
    stages = 1 if method == "joint" else 2
    for metric in ("loss", "accuracy"):
        places = [(e.stage, e.task) for e in told.evals if e.metric == metric]
        assert places == [(i, j) for i in range(stages + 1) for j in (1, 2)]
    assert not {"perplexity", "bits_per_byte"} & {e.metric for e in told.evals}
    outcome = told.outcome
    assert outcome.final_loss == np.mean([value(told, stages, j, "loss") for j in (1, 2)])
    assert outcome.last_accuracy == np.mean([value(told, stages, j, "accuracy") for j in (1, 2)])
    assert outcome.last_accuracy == value(told, stages, 0, "mean_accuracy")
    assert outcome.upstream_loss == value(told, stages, 0, "upstream_loss")
    assert outcome.tokens is outcome.perplexity is outcome.bits_per_byte is outcome.avg_accuracy is None
    assert (outcome.forgetting is None) == (method == "joint")
    assert len(told.steps) == {"zero-shot": 0, "sequential": 8, "joint": 8, "replay": 4 + 5}[method]
    assert plan.cost(given, Inputs([given])).least == outcome.forwards == 2 * len(told.steps)


def test_row_zero_is_the_pretrained_model(spec: Spec) -> None:
    given = spec("zero-shot")
    told = run(given)
    base, data = Inputs([given]).of(given)
    net = MaskedImageNetwork(build_mim(base), base.pixels, "full", PRECISIONS["fp32"], 0).eval()
    for j, task in enumerate(data.tasks, start=1):
        with torch.no_grad():
            losses = net.example_losses(net(torch.tensor(task.held_out_x)), torch.tensor(task.held_out_y))
            both = ImageData(task.train_x, task.train_labels, task.held_out_x, task.held_out_labels, ())
            accuracy = class_mean_accuracy(lambda x: net(x, features=True), both)
        assert value(told, 0, j, "loss") == pytest.approx(losses.mean().item(), rel=1e-5)
        assert value(told, 0, j, "accuracy") == accuracy
        assert value(told, 2, j, "change_stderr") == 0


def test_features_in_other_batches_are_others(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(methods, "embed", lambda e, x, size: sizes.append(size) or embed(e, x, size))
    cache: dict[Any, Any] = {}
    for size in (8, 96, 8):
        run(spec("zero-shot", train__batch_size=size, train__micro_batch_size=8), cache=cache)
    assert sizes == [8] * 4 + [96] * 4


def test_class_means_are_of_the_first_images(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "MEAN_OF", 3)
    given = spec("zero-shot")
    base, data = Inputs([given]).of(given)
    method, task = DomainLearner(given, base), data.tasks[0]
    assert sorted(task.train_labels[:6]) == [0] * 3 + [1] * 3
    few = replace(task, train_x=task.train_x[:6], train_labels=task.train_labels[:6])
    embedded: list[int] = []
    monkeypatch.setattr(methods, "embed", lambda e, x, size: embedded.append(len(x)) or embed(e, x, size))
    assert method.accuracy(task) == method.accuracy(few)
    assert embedded == [6, 6] * 2


def test_backpropagation_learns_a_domain_and_forgets_less_with_replay(spec: Spec) -> None:
    more = {"optimizer__lr": 1e-2, "train__epochs": 6, "method__replay_fraction": 1.0}
    plain, again = (run(spec(method, "fo-adamw", **more)).outcome for method in ("sequential", "replay"))
    assert plain.learning_gain > 0.1
    assert plain.forgetting > 0.1
    assert again.forgetting < plain.forgetting / 2


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_forward_only_optimizer_learns(precision: str, spec: Spec) -> None:
    """The mean of the pictures, at least."""
    more = {"optimizer__lr": 1e-2, "optimizer__eps": 1e-2, "optimizer__queries": 2, "train__epochs": 4}
    told = run(spec("joint", "zo-adam", train__precision=precision, **more))
    assert told.outcome.learning_gain > 0.05


@pytest.mark.parametrize("optimizer", ["zo-adam-conserve", "forward-grad", "fo-adamw"])
def test_a_trial_repeats_bit_for_bit(optimizer: str, spec: Spec) -> None:
    given = spec("replay", optimizer, train__micro_batch_size=3)
    torch.manual_seed(1)
    first = run(given)
    torch.manual_seed(2)
    assert run(given).told == first.told


def test_a_killed_trial_goes_on_from_its_ledger(spec: Spec, tmp_path: Path) -> None:
    given = spec("replay", "zo-adam")
    whole = run(given, ledger=Ledger(tmp_path / "whole"))
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "half").write_bytes(data[: len(data) * 2 // 3])
    assert run(given, ledger=Ledger(tmp_path / "half")).told == whole.told


def test_micro_batches_give_the_same_loss(spec: Spec) -> None:
    whole, parts = (run(spec(train__micro_batch_size=size)) for size in (None, 3))
    losses = ([step.loss for step in told.steps] for told in (whole, parts))
    assert next(losses) == pytest.approx(next(losses), rel=1e-4)


@pytest.mark.parametrize("train", ["full", "lora", "adapter", r"decoder\..*norm"])
def test_replay_rebuilds_what_was_trained(train: str, spec: Spec, tmp_path: Path, monkeypatch: Any) -> None:
    built: list[DomainLearner] = []
    begin = DomainLearner.__init__
    monkeypatch.setattr(DomainLearner, "__init__", lambda self, *given: built.append(self) or begin(self, *given))
    given = spec("replay", "zo-adam", model__train=train)
    base, data = Inputs([given]).of(given)
    sink = ParquetSink(About.of(tmp_path, "x", given))
    sink.close(trial.run(given, base, data, sink))
    assert replay(tmp_path, given.trial_id, tmp_path / "out") == 9
    trained, again = (method.network.state_dict() for method in built[:2])
    assert all(torch.equal(trained[name], again[name]) for name in trained)
    assert any(not torch.equal(trained[k], v) for k, v in DomainLearner(given, base).network.state_dict().items())
    same = all(np.array_equal(v, base.weights[k]) for k, v in load_mim(str(tmp_path / "out")).weights.items())
    assert same == (train in ("lora", "adapter"))  # these lie beside the base


def test_domains_need_no_classes(spec: Spec, stream: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for file in Path(stream["domains"][0]["dataset"]["path"]).rglob("*.png"):
        shutil.copy(file, tmp_path / "all" / f"{file.parent.name}-{file.name}")
    plain = {"name": "plain", "dataset": {"path": str(tmp_path), "format": "imagefolder"}}
    told = run(spec("zero-shot", stream__domains=[plain, stream["domains"][1]]))
    assert {e.task for e in told.evals if e.metric == "loss"} == {1, 2}
    assert {e.task for e in told.evals if e.metric == "accuracy"} == {2}
    assert told.outcome.last_accuracy == value(told, 2, 2, "accuracy")


def test_a_users_own_objective_is_given_patches(spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_image_loss.py").write_text(
        "def absolute(predicted, targets):\n    assert predicted.shape == targets.shape == (8, 7, 16)\n"
        "    return (predicted - targets).abs().mean()\n"
    )
    monkeypatch.chdir(tmp_path)
    told = run(spec("joint", "fo-sgd", train__objective="own_image_loss:absolute"))
    assert np.isfinite([step.loss for step in told.steps]).all()
