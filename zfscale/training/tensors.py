"""Tensors in a safetensors file with a checksum: one that is cut or changed is void."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from zfscale.results.storage import Storage

CHECKSUM = "sha256"  # in the file's metadata; files of earlier versions have none


class Torn(ValueError):
    """A file is not as it was written."""


class Loaded(NamedTuple):
    """Tensors on the CPU, and what else was written of them."""

    tensors: dict[str, torch.Tensor]
    about: dict[str, str]


def load(there: Storage, name: str) -> Loaded | None:
    """The content of a file; None if there is no such file. Errors: Torn."""
    if not there.exists(name):
        return None
    try:
        with there.reading(name) as path, safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
            about = dict(file.metadata() or {})
    except (SafetensorError, IsADirectoryError, RuntimeError, LookupError) as error:
        raise Torn(f"a damaged snapshot ({str(error).partition(chr(10))[0]})") from error
    if about.pop(CHECKSUM, None) not in (None, checksum(tensors)):
        raise Torn("a snapshot that has changed since it was written (its checksum differs)")
    return Loaded(tensors, about)


def save(tensors: dict[str, torch.Tensor], path: Path, about: Mapping[str, str] | None = None) -> None:
    """Save with the checksum; OSError where safetensors has made a text of one."""
    try:
        save_file(tensors, path, metadata={CHECKSUM: checksum(tensors), **(about or {})})
    except SafetensorError as error:
        found = re.search(r"os error (\d+)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error


def checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names, dtypes, shapes and bytes."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
