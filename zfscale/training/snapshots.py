"""Snapshots of trained weights, each with a checksum: one that is cut or changed is void."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from zfscale.engine.module_leaves import ModuleLeaves
from zfscale.errors import ZfscaleError
from zfscale.results.layout import TRIALS, file_of, snapshots_of
from zfscale.results.patience import patiently
from zfscale.results.storage import Place, storage

CHECKSUM = "sha256"  # in the file's metadata; snapshots of earlier versions have none


class Torn(ValueError):
    """A snapshot is not as it was written."""


class Snapshots:
    """Trained weights at the end of first-order phases, which no ledger can rebuild: one safetensors file a task."""

    def __init__(self, results: Place, trial_id: str) -> None:
        self.storage, self.trial_id, self.folder = storage(results), trial_id, snapshots_of(trial_id)

    def has(self, task: int) -> bool:
        """Whether those of a task are there, and whole."""
        try:
            return patiently(partial(self._read, task), self._file(task)) is not None
        except Torn as torn:
            logging.getLogger(__name__).warning("%s: %s: void", self._file(task), torn)
            return False

    def save(self, task: int, leaves: ModuleLeaves) -> None:
        """Write the leaves under their names; whole or not at all. StorageError if it fails for about a minute."""
        tensors = {leaf.name: leaf.parameter.data for leaf in leaves}
        patiently(partial(self._write, task, tensors), self._file(task))

    def load(self, task: int, leaves: ModuleLeaves) -> None:
        """Write the snapshot of a task into the leaves; ZfscaleError if it is missing or damaged."""
        try:
            kept = patiently(partial(self._read, task), self._file(task))
            if kept is None:
                raise Torn("the snapshot of a first-order phase is missing")
            if odd := [n.name for n in leaves if n.name not in kept or kept[n.name].shape != n.parameter.shape]:
                raise Torn(f"{odd[0]!r} is missing or has another shape")
        except Torn as torn:
            again = f"to make it again, remove {self.storage}/{file_of(TRIALS, self.trial_id)} and run the sweep again"
            raise ZfscaleError(f"{self._file(task)}: {torn}; {again}") from torn
        for leaf in leaves:
            leaf.parameter.data.copy_(kept[leaf.name])

    def remove(self) -> None:
        """They have served."""
        patiently(partial(self.storage.remove, self.folder), f"{self.storage}/{self.folder}")

    def _read(self, task: int) -> dict[str, torch.Tensor] | None:
        """The tensors on the CPU; None if there is no such file. Errors: Torn."""
        if not self.storage.exists(self._name(task)):
            return None
        try:
            with self.storage.reading(self._name(task)) as path, safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
                known = (file.metadata() or {}).get(CHECKSUM)
        except (SafetensorError, IsADirectoryError, RuntimeError, LookupError) as error:
            raise Torn(f"a damaged snapshot ({str(error).partition(chr(10))[0]})") from error
        if known not in (None, checksum(tensors)):
            raise Torn("a snapshot that has changed since it was written (its checksum differs)")
        return tensors

    def _write(self, task: int, tensors: dict[str, torch.Tensor]) -> None:
        with self.storage.writing(self._name(task)) as path:
            _save(tensors, path)

    def _file(self, task: int) -> str:
        return f"{self.storage}/{self._name(task)}"

    def _name(self, task: int) -> str:
        return f"{self.folder}/task-{task}.safetensors"


def checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names, dtypes, shapes and bytes."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Save with the checksum; OSError where safetensors has made a text of one."""
    try:
        save_file(tensors, path, metadata={CHECKSUM: checksum(tensors)})
    except SafetensorError as error:
        found = re.search(r"os error (\d+)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error
