"""What does not fit a model is found before any trial, in whichever of them it is; and before any data is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Small
from tests.models import small_lms, small_mims
from zfscale.errors import SpecError
from zfscale.models.lm import build_lm
from zfscale.pretraining.lm_nano import byte_tokenizer
from zfscale.spec import StreamSpec, TrialSpec, load
from zfscale.streams.class_incremental import ClassIncremental
from zfscale.streams.domain_incremental import DomainIncremental
from zfscale.trial import inputs
from zfscale.trial.inputs import Inputs


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> list[StreamSpec]:
    """The streams that data was read for; none is."""
    read: list[StreamSpec] = []
    monkeypatch.setattr(DomainIncremental, "read", lambda stream, family, base: read.append(stream))
    monkeypatch.setattr(DomainIncremental, "of", lambda stream, data: None)
    return read


def saved(family: str, path: Path) -> str:
    small_lms.make(family).save_pretrained(path / family)
    byte_tokenizer().save_pretrained(path / family)
    return str(path / family)


def spec(model: str, block_size: int | None = 32, train: str = "full", **more: Any) -> TrialSpec:
    domain = {"name": "reference" if block_size else "digits"}
    return TrialSpec.model_validate(
        {
            "model": {"name": model, "train": train, **more},
            "stream": {"kind": "domain_incremental", "domains": [domain], "block_size": block_size},
            "method": {"name": "sequential"},
            "optimizer": {"name": "zo-sgd", "lr": 1e-3},
            "train": {"epochs": 1, "batch_size": 4},
        }
    )


def test_a_block_that_is_too_long_for_its_model_in_any_trial(tmp_path: Path, data: list[StreamSpec]) -> None:
    gpt2, bloom = saved("gpt2", tmp_path), saved("bloom", tmp_path)
    good = [spec(bloom, 41), spec(gpt2, 40), spec(bloom, 4000)]
    Inputs(good)
    assert data == [trial.stream for trial in good]
    data.clear()
    with pytest.raises(SpecError, match=r"^stream\.block_size: 41 tokens, but .*gpt2 has positions for 40$"):
        Inputs([*good, spec(gpt2, 41)])
    assert not data


@pytest.mark.parametrize(
    ("family", "train", "says"),
    [
        ("gpt2", "no_such", "no parameter's name matches 'no_such'; allowed: full, adapter, lora, or a pattern of"),
        ("bert", "adapter", "BertModel: no transformer block with a norm before its FFN"),
        ("vit_mae", "no_such", "no parameter's name matches 'no_such'"),
    ],
)
def test_what_trains_nothing_in_any_trial(
    family: str, train: str, says: str, tmp_path: Path, data: list[StreamSpec]
) -> None:
    image = family == "vit_mae"
    model = small_mims.saved(family, tmp_path, channels=1) if image else saved(family, tmp_path)
    block = None if image else 32
    Inputs([spec(model, block), spec(model, block, "lora", lora_rank=2), spec(model, block, "bias|weight")])
    data.clear()
    with pytest.raises(SpecError) as caught:
        Inputs([spec(model, block), spec(model, block, train)])
    assert str(caught.value).startswith(f"model.train: {train!r} does not fit {model}: {says}")
    assert "\n" not in str(caught.value)
    assert not data


def test_lora_without_a_layer_to_adapt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peft.utils.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING", {"gpt2": ["q_proj"]})
    with pytest.raises(SpecError, match=r"^model\.train: 'lora' does not fit .*gpt2: lora finds no layer of GPT2"):
        Inputs([spec(saved("gpt2", tmp_path), train="lora")])


def test_a_tied_weight_goes_by_each_of_its_names(tmp_path: Path) -> None:
    (one,) = trials = [spec(saved("gpt2", tmp_path), train="^lm_head")]
    base, _ = Inputs(trials).of(one)
    assert not any(
        name.startswith("lm_head") for name, _ in build_lm(base).named_parameters()
    )  # its other name is first


def test_a_model_is_tried_once_for_what_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(inputs, "_check_train", lambda given, _: tried.append(given.model.train))
    model = saved("bloom", tmp_path)
    Inputs([spec(model, size, train) for size in (8, 16) for train in ("full", "lora")])
    assert tried == ["full", "lora"]


SWEEP = """\
name: several
model: {{name: {gpt2}}}
stream: {{kind: domain_incremental, domains: [{{name: reference}}]}}
method: {{name: sequential}}
optimizer: {{name: zo-sgd, lr: 1e-3}}
train: {{epochs: 1, batch_size: 4}}
space:
  stream.block_size: {{grid: [8, 41]}}
  model.train:
    grid:
    - full
    - no_such
  train.objective: {{grid: [cross_entropy, "no_such_module:f"]}}
"""


def test_every_problem_comes_with_its_line(tmp_path: Path, data: list[StreamSpec]) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(SWEEP.format(gpt2=saved("gpt2", tmp_path)))
    sweep = load(file)
    with pytest.raises(SpecError) as caught:
        inputs.read(sweep, sweep.trials)
    lines = str(caught.value).splitlines()
    assert [line.partition(" ")[0] for line in lines] == [f"{file}:8:", f"{file}:12:", f"{file}:13:"]
    assert "space.stream.block_size.grid[1]: 41 tokens, but" in lines[0]
    assert "space.model.train.grid[1]: 'no_such' does not fit" in lines[1]
    assert "space.train.objective.grid[1]: 'no_such_module:f' cannot be imported" in lines[2]
    assert not data


def test_every_domain_that_cannot_be_read_comes_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # real data
    texts = "\n  - ".join(f"{{name: {n}, dataset: {{path: {tmp_path}/{n}.txt, format: text}}}}" for n in "ab")
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("too short")
    file, space = tmp_path / "x.yaml", SWEEP.index("space:")
    domains = f"\n  domains:\n  - {texts}\n  block_size: 32"
    text = SWEEP[:space].format(gpt2=saved("gpt2", tmp_path))
    file.write_text(
        text.replace(
            "{kind: domain_incremental, domains: [{name: reference}]}", f"{domains}\n  kind: domain_incremental"
        )
    )
    sweep = load(file)
    with pytest.raises(SpecError) as caught:
        inputs.read(sweep, sweep.trials)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{file}:5: stream.domains[0].dataset: domain 'a': ")
    assert lines[1].startswith(f"{file}:6: stream.domains[1].dataset: domain 'b': ")
    assert len(lines) == 2


def test_classes_that_the_tasks_do_not_share_are_noticed_once_they_are_read(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # real streams
    monkeypatch.setattr(ClassIncremental, "read", lambda *_: small.data)
    trials = [small.spec(stream={"dataset": "owner/name", "tasks": n}) for n in (3, 4, 5)]
    with pytest.raises(SpecError) as caught:
        Inputs(trials)
    assert str(caught.value).splitlines() == [
        "stream.tasks: 4 does not divide the 6 classes of the dataset; allowed: 1, 2, 3, 6, or task_sizes",
        "stream.tasks: 5 does not divide the 6 classes of the dataset; allowed: 1, 2, 3, 6, or task_sizes",
    ]


def test_a_stream_is_fitted_to_its_data_once_however_many_trials_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted, misfit = [], ClassIncremental.misfit
    monkeypatch.setattr(
        ClassIncremental, "misfit", lambda spec, data: fitted.append(spec.validation) or misfit(spec, data)
    )
    trials = [
        TrialSpec.model_validate(
            {
                "model": {"name": "embedded/vit-nano"},
                "stream": {"dataset": "digits", "tasks": 5, "validation": validation},
                "method": {"name": "finetune"},
                "optimizer": {"name": "zo-sgd", "lr": lr},
                "train": {"epochs": 1, "batch_size": 32},
            }
        )
        for validation in (0.2, 0.4)
        for lr in (0.1, 0.2, 0.3)
    ]
    found = Inputs(trials)
    assert fitted == [0.2, 0.4]
    sizes = [len(next(iter(found.stream(trial))).train_x) for trial in trials]
    assert sizes == [sizes[0]] * 3 + [sizes[3]] * 3
    assert sizes[0] > sizes[3]
