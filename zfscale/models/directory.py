"""What a model directory holds, looked at before transformers reads it: its own errors often name no file.

Checked are the files that a kind of model is read from, the numbers of `config.json`, and the headers of the weights;
no tensor is read. Everything wrong ends as a ModelError of one line.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zfscale.errors import ModelError, one_line
from zfscale.models.config import check_config

IMAGE_FILES = ("preprocessor_config.json", "processor_config.json")
TEXT_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
    *("vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
)
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LFS = b"version https://git-lfs.github.com/spec/"
CONVERT = "safetensors are needed, as unpickling runs code: load it once with transformers and use save_pretrained"
OTHERS = {  # glob -> what a directory without transformers' own files is
    "open_clip_config.json": "an OpenCLIP model; transformers' format is needed",
    "pytorch_model*.bin": f"a pickle of weights; {CONVERT}",
    "tf_model*.h5": f"a TensorFlow model; {CONVERT}",
    "saved_model.pb": f"a TensorFlow model; {CONVERT}",
    "flax_model*.msgpack": f"a Flax model; {CONVERT}",
    "*.onnx": "an ONNX model; transformers' format with model.safetensors is needed",
    "consolidated*": "a model in its authors' own format; the one converted for transformers is needed",
    "*.gguf": "a GGUF model; give the path of the file itself, for a language model",
    "*.bin": f"a pickle of weights; {CONVERT}",
    "*.pt": f"a pickle of weights; {CONVERT}",
    "*.pth": f"a pickle of weights; {CONVERT}",
    "*.ckpt": f"a pickle of weights; {CONVERT}",
}


def check_directory(name: str, directory: Path, files: Sequence[str]) -> dict[str, Any]:
    """The content of `config.json` of the model `name`, after what else is read with it was looked at.

    `files` are read as well if they are there. Errors: ModelError with the file and what is wrong with it.
    """
    try:
        found = {entry.name for entry in directory.iterdir() if not entry.name.startswith(".")}
    except OSError as error:
        raise ModelError(f"model {name!r}: the directory cannot be read: {error.strerror}") from error
    if not found:
        raise ModelError(f"model {name!r}: the directory is empty")
    if "adapter_config.json" in found:
        remedy = "merge it into its base model (merge_and_unload of PEFT) and give the directory of the result"
        raise ModelError(f"model {name!r}: adapter_config.json: an adapter is no whole model; {remedy}")
    if "model_index.json" in found:
        raise ModelError(f"model {name!r}: model_index.json: a pipeline of diffusers is not a model of transformers")
    if "config.json" not in found:
        raise ModelError(f"model {name!r}: no config.json{_other(directory)}")
    config = read_json(name, directory / "config.json")
    check_config(name, config)
    for file in ("generation_config.json", *files):
        if file in found:
            _read(name, directory / file)
    return config


def read_json(name: str, file: Path) -> dict[str, Any]:
    """The JSON object in a file of the model `name`."""
    check_file(name, file)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ModelError(f"model {name!r}: {file.name} is not UTF-8 text: byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"model {name!r}: {file.name} is not valid JSON: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise ModelError(f"model {name!r}: {file.name}: a JSON object is needed, got {type(content).__name__}")
    return content


def check_file(name: str, file: Path) -> None:
    """ModelError unless the file is regular, readable, not empty, and itself there in place of a Git LFS pointer."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # a named pipe would be waited for without an end
            raise ModelError(f"model {name!r}: {file.name} is no regular file")
        with open(file, "rb") as opened:
            start = opened.read(len(LFS))
    except FileNotFoundError as error:
        what = "is a link to a file that is missing" if file.is_symlink() else "is missing"
        raise ModelError(f"model {name!r}: {file.name} {what}") from error
    except OSError as error:
        raise ModelError(f"model {name!r}: {file.name} cannot be read: {error.strerror}") from error
    if not start:
        raise ModelError(f"model {name!r}: {file.name} is empty")
    if start == LFS:
        raise ModelError(f"model {name!r}: {file.name} is a Git LFS pointer; run git lfs pull in {file.parent}")


def _read(name: str, file: Path) -> None:
    if file.suffix == ".json":
        read_json(name, file)
    else:
        check_file(name, file)


def check_weights(name: str, directory: Path) -> None:
    """ModelError unless each file of weights that is read is there and has a whole header."""
    from safetensors import safe_open

    for file in _weight_files(name, directory):
        check_file(name, file)
        try:
            with safe_open(file, framework="np"):
                pass
        except Exception as error:
            reason = one_line(error)
            raise ModelError(f"model {name!r}: {file.name} is cut or no safetensors file: {reason}") from error


def _weight_files(name: str, directory: Path) -> list[Path]:
    if os.path.lexists(directory / WEIGHTS):  # transformers takes this one, and looks at no index
        return [directory / WEIGHTS]
    if not os.path.lexists(directory / INDEX):
        raise ModelError(f"model {name!r}: no {WEIGHTS}{_other(directory)}")
    shards = read_json(name, directory / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()) or not shards:
        raise ModelError(f"model {name!r}: {INDEX}: weight_map: an object of tensor and file names is needed")
    return [directory / shard for shard in sorted(set(shards.values()))]


def _other(directory: Path) -> str:
    """What else the directory seems to be, to follow "no config.json"."""
    for pattern, what in OTHERS.items():
        if file := next(iter(sorted(directory.glob(pattern))), None):
            return f"; {file.name} is {what}"
    return " in the directory"
