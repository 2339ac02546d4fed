"""Model directories as people have them, of every kind of model: the right weights, or one line with the file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_lms
import small_mims
import torch
from safetensors.torch import load_file, save_file

from tests.models.conftest import make as make_vit
from tests.troubles import No, assert_covers, assert_told
from zfscale.errors import ModelError
from zfscale.models.lm import load_lm
from zfscale.models.load import arrays
from zfscale.models.mim import load_mim
from zfscale.models.vit import load_base
from zfscale.pretraining.lm_nano import byte_tokenizer

LOAD: dict[str, Callable[[str], Any]] = {"vit": load_base, "lm": load_lm, "mim": load_mim}
KINDS = list(LOAD)
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind -> a directory that loads."""
    root = tmp_path_factory.mktemp("whole")
    make_vit("vit").save_pretrained(root / "vit")
    small_lms.make("llama").save_pretrained(root / "lm")
    byte_tokenizer().save_pretrained(root / "lm")
    small_mims.make("vit_mae").save_pretrained(root / "mim")
    return {kind: root / kind for kind in KINDS}


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, whole: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to spoil; its name is the kind."""
    return Path(shutil.copytree(whole[request.param], tmp_path / request.param))


def load(path: Path) -> Any:
    return LOAD[path.name](str(path))


def told(path: Path, *names: str) -> None:
    with pytest.raises(ModelError) as caught:
        load(path)
    assert_told(caught.value, str(path), *names)


def change(path: Path, **values: Any) -> None:
    """Set keys of config.json."""
    file = path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def reweigh(path: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> str:
    """Change the first matrix of the checkpoint; its name."""
    weights = load_file(path / "model.safetensors")
    name = next(name for name in sorted(weights) if weights[name].ndim == 2 and min(weights[name].shape) > 2)
    weights[name] = change(weights[name])
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    return name


def same(path: Path, expected: Any) -> None:
    got = load(path)
    assert got.weights.keys() == expected.weights.keys()
    assert all(np.array_equal(got.weights[key], expected.weights[key]) for key in expected.weights)


def null(path: Path) -> None:
    change(path, hidden_size=None)
    told(path, "config.json", "hidden_size: None given; allowed: a whole number from 1")


def wrong_type(path: Path) -> None:
    change(path, hidden_size="16")
    told(path, "config.json", "hidden_size: '16' given; allowed: a whole number from 1")


def wrong_encoding(path: Path) -> None:
    (path / "config.json").write_bytes((path / "config.json").read_text().encode("utf-16"))
    told(path, "config.json is not UTF-8 text: byte 0")


def cut(path: Path) -> None:
    file = path / "model.safetensors"
    data = file.read_bytes()
    for length in (3, 60, len(data) - 1):
        file.write_bytes(data[:length])
        told(path, "model.safetensors is cut or no safetensors file")
    file.write_bytes(data)
    (path / "config.json").write_text((path / "config.json").read_text()[:40])
    told(path, "config.json is not valid JSON")


def empty(path: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        (path / name).write_bytes(b"")
        told(path, f"{name} is empty")
    for file in path.iterdir():
        file.unlink()
    (path / ".git").mkdir()
    told(path, "the directory is empty")


def hidden(path: Path) -> None:
    expected = load(path)
    for name in ("._model.safetensors", ".DS_Store", "._config.json", ".gitattributes"):
        (path / name).write_bytes(b"\0\5\26\7")
    same(path, expected)


def duplicate(path: Path) -> None:
    """Weights in other formats beside the safetensors are not read."""
    expected = load(path)
    for name in ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "model.safetensors.index.json"):
        (path / name).write_text("{}")
    same(path, expected)


def other_schema(path: Path) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({"architecture": "vit_tiny", "num_classes": 5}))
    told(path, "config.json", "architecture", "timm's format")
    for given in (list[Any](), "vit", None):
        (path / "config.json").write_text(json.dumps(given))
        told(path, "config.json: a JSON object is needed")
    for kind in (5, None, ["vit"]):
        (path / "config.json").write_text(json.dumps(config | {"model_type": kind}))
        told(path, "config.json: model_type")


def other_depth(path: Path) -> None:
    """Weights of 16 and of 64 bits give the same float32, whatever config.json calls them."""
    reweigh(path, lambda weight: weight.bfloat16().float())
    expected = load(path)
    for stored in (torch.bfloat16, torch.float64):
        reweigh(path, partial(torch.Tensor.to, dtype=stored))
        for named in ("float16", "bfloat16", "float64"):
            change(path, dtype=named)
            same(path, expected)


def link(path: Path) -> None:
    """A snapshot of the hub's cache is a directory of links."""
    expected, blobs = load(path), path.parent / "blobs"
    shutil.move(path, blobs)
    path.mkdir()
    for file in blobs.iterdir():
        (path / file.name).symlink_to(os.path.relpath(file, path))
    same(path, expected)
    (blobs / "model.safetensors").unlink()
    told(path, "model.safetensors is a link to a file that is missing")


def unreadable(path: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        content = (path / name).read_bytes()
        (path / name).unlink()
        os.mkfifo(path / name)  # which must not be waited for
        told(path, f"{name} is no regular file")
        (path / name).unlink()
        (path / name).mkdir()
        told(path, f"{name} is no regular file")
        (path / name).rmdir()
        (path / name).write_bytes(content)


TABLE: dict[str, Callable[[Path], None] | No] = {
    "null": null,
    "wrong type": wrong_type,
    "wrong encoding": wrong_encoding,
    "cut": cut,
    "empty": empty,
    "hidden": hidden,
    "duplicate": duplicate,
    "other schema": other_schema,
    "other class set": No("a model's own classes are not used"),
    "other bit depth": other_depth,
    "rotated": No("weights have no orientation"),
    "link": link,
    "unreadable": unreadable,
}


def test_every_trouble_has_its_case():
    assert_covers(TABLE)


@pytest.mark.parametrize("trouble", [name for name, case in TABLE.items() if not isinstance(case, No)])
def test_troubles(trouble, model):
    case = TABLE[trouble]
    assert not isinstance(case, No)
    case(model)


CONFIGS = [
    *({key: value} for key in ("hidden_size", "num_hidden_layers", "num_attention_heads") for value in (0, -1, 1.5)),
    {"hidden_size": 10**12},
    {"hidden_size": True},
    {"intermediate_size": "32"},
    {"hidden_act": "no-such"},
    {"dtype": "no-such"},
    {"model_type": "no-such"},
    {"intermediate_size": 40},
    {"num_attention_heads": 3},
    {"hidden_size": 32},
    {"vocab_size": -1},
]
IMAGE_CONFIGS = [{"patch_size": 0}, {"patch_size": 64}, {"num_channels": 5}, {"num_channels": 2}, {"image_size": "16"}]
TEXT_CONFIGS = [{"vocab_size": -5}, {"vocab_size": 0}, {"vocab_size": 2**30}, {"vocab_size": "260"}]


@pytest.mark.parametrize("values", CONFIGS, ids=str)
def test_configurations_that_fit_no_model(values, model):
    change(model, **values)
    told(model)


@pytest.mark.parametrize(
    ("kind", "values"),
    [*(("vit", v) for v in IMAGE_CONFIGS), *(("mim", v) for v in IMAGE_CONFIGS), *(("lm", v) for v in TEXT_CONFIGS)],
    ids=str,
)
def test_configurations_that_fit_no_model_of_the_kind(kind, values, whole, tmp_path):
    path = Path(shutil.copytree(whole[kind], tmp_path / kind))
    change(path, **values)
    told(path, "config.json", next(iter(values)))


def test_a_configuration_holds_no_nan(model):
    change(model, some_eps=float("inf"))  # a limit, in some configurations
    LOAD[model.name](str(model))
    change(model, some_eps=float("nan"))
    told(model, "config.json: some_eps: NaN given")


def test_a_checkpoint_of_more_layers_is_not_cut_in_silence(model):
    change(model, num_hidden_layers=1)
    told(model, "weights of layers that config.json does not have", "layers.1.")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_told_at_load(value, model):
    def spoil(weight: torch.Tensor) -> torch.Tensor:
        weight[:2, 1] = value
        return weight

    rows, columns = load_file(model / "model.safetensors")[reweigh(model, spoil)].shape
    told(model, "is not finite: 2 of its", f"(shape {rows} x {columns}) are NaN or infinite")


def test_a_float64_beyond_float32_is_told_at_load(model):
    reweigh(model, lambda weight: weight.double() * 1e300)
    told(model, "is not finite")


def test_how_many_tensors_are_not_finite():
    state = {"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")]), "c": torch.tensor(float("inf"))}
    with pytest.raises(ModelError, match=r"the weight b is not finite: 1 of its 2 numbers .*, and 1 more tensors"):
        arrays("m", state)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"config.json": POINTER}, ["config.json is a Git LFS pointer; run git lfs pull"]),
        ({"model.safetensors": POINTER}, ["model.safetensors is a Git LFS pointer; run git lfs pull"]),
        ({"model.safetensors": None}, ["no model.safetensors in the directory"]),
        ({"model.safetensors": None, "pytorch_model.bin": "x"}, ["pytorch_model.bin is a pickle", "save_pretrained"]),
        ({"model.safetensors": None, "tf_model.h5": "x"}, ["tf_model.h5 is a TensorFlow model"]),
        ({"config.json": None, "open_clip_config.json": "{}"}, ["no config.json", "OpenCLIP"]),
        ({"config.json": None, "consolidated.00.pth": "x"}, ["no config.json", "consolidated.00.pth"]),
        ({"adapter_config.json": "{}"}, ["adapter_config.json", "merge"]),
        ({"model_index.json": "{}"}, ["model_index.json", "diffusers"]),
        ({"generation_config.json": "{"}, ["generation_config.json is not valid JSON"]),
    ],
    ids=str,
)
def test_directories_of_another_kind(files, says, model):
    for name, content in files.items():
        (model / name).unlink(missing_ok=True) if content is None else (model / name).write_text(content)
    told(model, *says)


def test_quantised_weights_are_refused_for_every_kind(model):
    change(model, quantization_config={"quant_method": "gptq", "bits": 4})
    told(model, "quantised")


def test_a_missing_shard_is_named(model):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    told(model, "model-00002-of-00002.safetensors is missing")
    (model / "model.safetensors.index.json").write_text("{}")
    told(model, "model.safetensors.index.json: weight_map")


@pytest.mark.parametrize("name", ["/no/such", "./no-such", "a/b/c"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_that_is_not_there(name, kind):
    with pytest.raises(ModelError, match="there is no such directory"):
        LOAD[kind](name)


def test_a_file_in_place_of_a_directory(model):
    with pytest.raises(ModelError, match="it is a file; give the directory"):
        LOAD[model.name](str(model / "model.safetensors"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (POINTER, "tokenizer.json is a Git LFS pointer"),
        ("{", "tokenizer.json is not valid JSON"),
        ('{"version": "1.0", "model": {"type": "no-such"}}', "tokenizer.json: "),
    ],
)
def test_a_broken_tokenizer_is_named(content, says, whole, tmp_path):
    path = Path(shutil.copytree(whole["lm"], tmp_path / "lm"))
    (path / "tokenizer.json").write_text(content)
    told(path, says)
