"""Domain-incremental trials on embedded/lm-nano and a few small files: what they learn, tell and repeat."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.conftest import OPTIMIZERS, Memory
from tests.models import small_lms
from zfscale.methods.catalogue import of_stream
from zfscale.methods.domains import DomainLearner, ZeroShot
from zfscale.models.lm import build_lm
from zfscale.pretraining.lm_nano import byte_tokenizer
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import TrialSpec
from zfscale.trial import cost as plan
from zfscale.trial import domain_incremental as domains
from zfscale.trial import run as trial
from zfscale.trial.inputs import Inputs
from zfscale.trial.replay import replay
from zfscale.zo.ledger import Ledger

BLOCK, BUDGET, HELD_OUT = 32, 512, 256
TEXTS = {
    "counting": "one two three four five six seven eight nine ten, and {n} makes {m}.\n",
    "hexadecimal": "{n:06x}-{m:06x}-{k:06x}\n",
}


@dataclass(frozen=True)
class Text:
    """Trials on two domains of generated lines."""

    stream: dict[str, Any]

    def spec(self, method: str = "sequential", optimizer: str = "zo-sgd", **changes: Any) -> TrialSpec:
        spec: dict[str, Any] = {
            "model": {"name": "embedded/lm-nano"},
            "stream": self.stream,
            "method": {"name": method},
            "optimizer": {"name": optimizer, "lr": OPTIMIZERS[optimizer] / 10},
            "train": {"epochs": 1, "batch_size": 4},
        }
        for path, value in changes.items():
            block, _, key = path.partition("__")
            spec[block] = {**spec[block], key: value} if key else value
        return TrialSpec.model_validate(spec)

    def run(self, spec: TrialSpec, **more: Any) -> Memory:
        base, data = Inputs([spec]).of(spec)
        sink = Memory()
        sink.close(trial.run(spec, base, data, sink, **more))
        return sink


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Text:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    listed = []
    for name, line in TEXTS.items():
        (tmp_path / name).mkdir()
        for i in range(60):
            lines = [line.format(n=i * 97 + j, m=i * 31 + 7 * j, k=j) for j in range(4)]
            (tmp_path / name / f"{i}.txt").write_text("".join(lines))
        listed.append({"name": name, "dataset": {"path": str(tmp_path / name / "*.txt"), "format": "text"}})
    return Text(
        {
            "kind": "domain_incremental",
            "domains": listed,
            "upstream": {"name": "general", "dataset": {"path": str(tmp_path / "*" / "1*.txt"), "format": "text"}},
            "block_size": BLOCK,
            "tokens_per_domain": BUDGET,
            "held_out_tokens": HELD_OUT,
        }
    )


def value(told: Memory, stage: int, task: int, metric: str) -> float:
    (found,) = [e.value for e in told.evals if (e.stage, e.task, e.metric) == (stage, task, metric)]
    return found


@pytest.mark.parametrize("method", of_stream("domain_incremental"))
def test_every_method_measures_all_domains_before_and_after_each_stage(method: str, text: Text) -> None:
    spec = text.spec(method)
    told = text.run(spec)
    stages = 1 if method == "joint" else 2
    places = [(e.stage, e.task) for e in told.evals if e.metric == "loss"]
    assert places == [(i, j) for i in range(stages + 1) for j in (1, 2)]
    outcome = told.outcome
    assert outcome.final_loss == np.mean([value(told, stages, j, "loss") for j in (1, 2)])
    assert outcome.upstream_loss == value(told, stages, 0, "upstream_loss")
    assert outcome.perplexity == pytest.approx(math.exp(outcome.final_loss))
    assert outcome.bits_per_byte == pytest.approx(outcome.final_loss / math.log(2), rel=0.02)  # a byte a token
    assert (outcome.forgetting is None) == (method == "joint")
    blocks = {"zero-shot": 0, "sequential": 32, "joint": 32, "replay": 32 + 2}[method]
    assert outcome.tokens == blocks * BLOCK
    assert len(told.steps) == {"zero-shot": 0, "sequential": 8, "joint": 8, "replay": 4 + 5}[method]
    assert plan.cost(spec, Inputs([spec])).least == outcome.forwards == 2 * len(told.steps)


def test_the_loss_is_the_models_own(text: Text) -> None:
    """Row 0 against a plain cross-entropy over the held-out blocks."""
    spec = text.spec("zero-shot")
    told = text.run(spec)
    base, data = Inputs([spec]).of(spec)
    module = build_lm(base)
    for j, task in enumerate(data.tasks, start=1):
        ids = torch.tensor(task.held_out_x).long()
        with torch.no_grad():
            logits = module(ids).logits[:, :-1]
        expected = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        assert value(told, 0, j, "loss") == pytest.approx(float(expected), rel=1e-5)
        assert value(told, 2, j, "loss") == value(told, 0, j, "loss")
        assert value(told, 2, j, "change_stderr") == 0


def test_backpropagation_learns_a_domain_and_forgets_less_with_replay(text: Text) -> None:
    more = {"optimizer__lr": 1e-3, "train__epochs": 4, "method__replay_fraction": 1.0}
    plain, replay = (text.run(text.spec(m, "fo-adamw", **more)).outcome for m in ("sequential", "replay"))
    assert plain.learning_gain > 0.3
    assert plain.forgetting > 0.05
    assert replay.forgetting < plain.forgetting / 2
    assert plain.bwt == pytest.approx(-plain.forgetting, abs=0.05)


@pytest.mark.parametrize("optimizer", ["zo-adam-conserve", "forward-grad", "fo-adamw"])
def test_a_trial_repeats_bit_for_bit(optimizer: str, text: Text) -> None:
    spec = text.spec("replay", optimizer)
    torch.manual_seed(1)
    first = text.run(spec)
    torch.manual_seed(2)
    assert text.run(spec).told == first.told


def test_the_pretrained_models_losses_are_computed_once_a_worker(text: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    losses = ZeroShot.losses
    monkeypatch.setattr(
        "zfscale.methods.domains.DomainLearner.losses", lambda s, t: calls.append(t.name) or losses(s, t)
    )
    cache: dict[Any, Any] = {}
    first = text.run(text.spec("zero-shot"), cache=cache)
    assert text.run(text.spec("zero-shot", seed=1), cache=cache).evals == first.evals
    assert calls == [*TEXTS, "general"]


def test_losses_in_another_number_format_are_others(text: Text) -> None:
    specs = [text.spec("zero-shot", "fo-adamw", engine={"stage": 1, "dtype": dtype}) for dtype in ("fp32", "bf16")]
    cache: dict[Any, Any] = {}
    shared, alone = ([text.run(spec, cache=given).evals for spec in specs] for given in (cache, None))
    assert shared == alone
    assert alone[0] != alone[1]


@pytest.mark.parametrize("method", ["sequential", "joint"])
def test_of_one_domain_joint_training_forgets_nothing_that_is_defined(method: str, text: Text) -> None:
    outcome = text.run(text.spec(method, stream__domains=text.stream["domains"][:1])).outcome
    expected = None if method == "joint" else 0.0
    assert (outcome.forgetting, outcome.bwt, outcome.fwt) == (expected, expected, expected)


@pytest.mark.parametrize("optimizer", ["zo-sgd", "fo-sgd", "hybrid"])
def test_bytes_are_told_of_losses_alone(optimizer: str, text: Text) -> None:
    phase = {"name": "fo-sgd", "lr": 0.1, "epochs": 1}
    hybrid = {"optimizer__first_order": phase, "train__epochs": 2} if optimizer == "hybrid" else {}
    spec = text.spec("sequential", "zo-sgd" if hybrid else optimizer, **hybrid)
    assert text.run(spec).outcome.bytes_sent == (0 if optimizer == "zo-sgd" else None)


def test_a_killed_trial_goes_on_from_its_ledger(text: Text, tmp_path: Path) -> None:
    spec = text.spec("replay", "zo-adam", optimizer__schedule="warmup-cosine", optimizer__warmup=0.5)
    whole = text.run(spec, ledger=Ledger(tmp_path / "whole"))
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "half").write_bytes(data[: len(data) * 2 // 3])
    assert text.run(spec, ledger=Ledger(tmp_path / "half")).told == whole.told


def test_the_order_of_domains_is_by_seed(text: Text) -> None:
    orders = set()
    for seed in range(6):
        spec = text.spec(stream__order_seed=seed)
        orders.add(tuple(task.name for task in Inputs([spec]).stream(spec)))
    assert orders == {("counting", "hexadecimal"), ("hexadecimal", "counting")}


def test_standard_error_by_hand() -> None:
    assert domains.stderr(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(math.sqrt((5 / 3) / 4))
    assert math.isnan(domains.stderr(np.array([1.0])))


@pytest.mark.parametrize("train", ["full", "lora", "adapter", r"layers\.0\..*norm"])
def test_replay_rebuilds_what_was_trained(train: str, text: Text, tmp_path: Path, monkeypatch: Any) -> None:
    """Base weights + ledger, in a directory that transformers reads."""
    built: list[DomainLearner] = []
    begin = DomainLearner.__init__
    monkeypatch.setattr(DomainLearner, "__init__", lambda self, *given: built.append(self) or begin(self, *given))
    spec = text.spec("replay", "zo-adam", model__train=train)
    base, data = Inputs([spec]).of(spec)
    sink = ParquetSink(About.of(tmp_path, "x", spec))
    sink.close(trial.run(spec, base, data, sink))
    assert replay(tmp_path, spec.trial_id, tmp_path / "out") == 9
    trained, again = (method.network.state_dict() for method in built[:2])
    assert all(torch.equal(trained[name], again[name]) for name in trained)
    assert any(not torch.equal(trained[k], v) for k, v in DomainLearner(spec, base).network.state_dict().items())
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("é")["input_ids"] == list("é".encode())
    ids = torch.tensor(data.tasks[0].held_out_x[:2]).long()
    with torch.no_grad():
        same = torch.equal(loaded(ids).logits, build_lm(base)(ids).logits)
    assert same == (train in ("lora", "adapter"))  # these lie beside the base


def test_a_masked_model_learns_what_was_hidden(text: Text, tmp_path: Path) -> None:
    small_lms.make("bert").save_pretrained(tmp_path / "bert")
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"mask_token": "<|mask|>"})
    tokenizer.save_pretrained(tmp_path / "bert")
    spec = text.spec("sequential", "fo-adamw", model__name=str(tmp_path / "bert"), train__epochs=4)
    (task, *_) = Inputs([spec]).of(spec)[1].tasks
    hidden = task.train_y != -100
    assert (hidden.sum(1) == round(0.15 * BLOCK)).all()
    told = text.run(spec)
    assert told.outcome.learning_gain > 0.02
    forward_only = text.run(text.spec("joint", "zo-sgd", model__name=str(tmp_path / "bert")))
    assert math.isfinite(forward_only.outcome.final_loss)
