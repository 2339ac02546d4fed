"""How a model of transformers is read: from where, without its noise, its weights whole, and errors of one line."""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zfscale.errors import ModelError, nearest, one_line
from zfscale.models.config import check_config
from zfscale.models.directory import CONVERT, check_directory, check_weights

EMBEDDED = Path(__file__).parent / "embedded"
OFFLINE = {"OfflineModeIsEnabled", "LocalEntryNotFoundError", "ConnectError", "ConnectTimeout", "ReadTimeout"}


def resolve(name: str) -> str:
    """What transformers is given for `name`: a directory for embedded and local models, else the hub id."""
    if name.startswith("embedded/"):
        path = EMBEDDED / name.removeprefix("embedded/")
        if not path.is_dir():
            raise ModelError(f"model {name!r}: no such embedded model; {nearest(name, _embedded())}")
        return str(path)
    local = Path(name).expanduser()
    if local.is_dir():
        return str(local)
    if local.is_file():
        raise ModelError(f"model {name!r} cannot be loaded: it is a file; give the directory it is in, or a .gguf file")
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise ModelError(f"model {name!r} cannot be loaded: there is no such directory")
    return name


def configuration(name: str, where: str, files: Sequence[str], options: Mapping[str, str] | None = None) -> Any:
    """The model's configuration, after its directory, if it has one, was looked at; `files` are those it is read from.

    `options` pick a GGUF file. Errors: ModelError.
    """
    from transformers import AutoConfig, PretrainedConfig

    given = dict(options or {})
    if not given and Path(where).is_dir():
        check_directory(name, Path(where), files)
    elif not given:
        with reading(name, where):
            content, _ = PretrainedConfig.get_config_dict(where)
        check_config(name, content)
    with reading(name, where), quiet():
        return AutoConfig.from_pretrained(where, trust_remote_code=False, **given)


def read_module(name: str, where: str, auto: Any, unused: Sequence[str] = (), **options: Any) -> Any:
    """The module of the class `auto`, in float32, all its weights from the checkpoint but those that are `unused`.

    Errors: ModelError if it cannot be read, lacks a weight, has one of another shape, or has more layers than its
    configuration says.
    """
    given = options if "gguf_file" in options else {**options, "use_safetensors": True}
    if given is not options and Path(where).is_dir():
        check_weights(name, Path(where))
    with reading(name, where), quiet(), redirect_stderr(io.StringIO()):  # a progress bar over a GGUF file's tensors
        module, report = auto.from_pretrained(
            where,
            dtype=torch.float32,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told below: transformers' own error does not say which
            **given,
        )
    if other := sorted(k for k in report["mismatched_keys"] if not any(part in k[0] for part in unused)):
        key, stored, expected = other[0]
        shapes = f"{_shape(stored)} is stored, and config.json asks for {_shape(expected)}"
        raise ModelError(f"model {name!r}: {len(other)} weights do not fit config.json: {key} of shape {shapes}")
    if missing := sorted(k for k in report["missing_keys"] if not any(part in k for part in unused)):
        raise ModelError(f"model {name!r}: its checkpoint lacks {len(missing)} weights, {missing[0]} for one")
    if more := _surplus(module, report["unexpected_keys"]):
        what = f"{len(more)} weights of layers that config.json does not have, {more[0]} for one"
        raise ModelError(f"model {name!r}: its checkpoint has {what}")
    return module


def arrays(name: str, state: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Weights as numpy, floating point as float32; ModelError if some number is NaN or infinite."""
    found = {key: to_numpy(tensor) for key, tensor in state.items()}
    wrong = [key for key, array in found.items() if not _finite(array)]
    if wrong:
        array = found[wrong[0]]
        count = array.size - int(np.isfinite(array).sum())
        others = f", and {len(wrong) - 1} more tensors are not" if len(wrong) > 1 else ""
        numbers = f"{count} of its {array.size} numbers (shape {_shape(array.shape)}) are NaN or infinite"
        raise ModelError(f"model {name!r}: the weight {wrong[0]} is not finite: {numbers}{others}")
    return found


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Floating point as float32, the rest as it is."""
    return tensor.detach().to(torch.float32).numpy() if tensor.is_floating_point() else tensor.numpy()


@contextmanager
def reading(name: str, where: str) -> Iterator[None]:
    """Whatever another library raises while it reads the model is a ModelError of one line."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # what a file can make several libraries raise has no common class
        local = Path(where).exists()
        reason = one_line(error) if local else _of_the_hub(name, error)
        raise ModelError(f"model {name!r} cannot be loaded: {reason}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' warnings and progress bars."""
    from transformers.utils import logging as hf

    level, bar = hf.get_verbosity(), hf.is_progress_bar_enabled()
    hf.set_verbosity_error()
    hf.disable_progress_bar()
    try:
        yield
    finally:
        hf.set_verbosity(level)
        if bar:
            hf.enable_progress_bar()


def _of_the_hub(name: str, error: BaseException) -> str:
    """Why the hub did not give a model, and what helps."""
    kinds, text = {type(one).__name__ for one in _chain(error)}, one_line(error)
    if "GatedRepoError" in kinds or "gated repo" in text:
        return f"access is restricted: accept its terms at https://huggingface.co/{name} and set HF_TOKEN"
    if "RepositoryNotFoundError" in kinds or "not a valid model identifier" in text:
        close = difflib.get_close_matches(f"embedded/{name}", _embedded(), n=1, cutoff=0.8)
        hint = f"did you mean {close[0]!r}?" if close else "check the name; if it is private, set HF_TOKEN"
        return f"no such directory, and the Hugging Face hub shows no such model; {hint}"
    if kinds & OFFLINE or "connect to" in text:
        remedy = f"run `hf download {name}` where it can be, or give a local directory"
        return f"it is not in the local cache, and the Hugging Face hub cannot be reached; {remedy}"
    return f"{text}; {CONVERT}" if "safetensors" in text else text


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _embedded() -> list[str]:
    return [f"embedded/{path.name}" for path in EMBEDDED.iterdir() if path.is_dir()]


def _surplus(module: Any, unexpected: Sequence[str]) -> list[str]:
    """Weights of the checkpoint that differ from some of the module's in the number of their layer only."""
    own = {_numberless(key) for key in module.state_dict()}
    prefix = f"{module.base_model_prefix}."
    return sorted(key for key in unexpected if {_numberless(key), _numberless(key.removeprefix(prefix))} & own)


def _numberless(key: str) -> str:
    return re.sub(r"\.\d+\.", ".#.", key)


def _finite(array: np.ndarray) -> bool:
    """Whether every number is finite; without a mask as large as the array."""
    return array.size == 0 or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _shape(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes)) or "1"
