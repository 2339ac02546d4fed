"""Snapshots of trained weights, each with a checksum: one that is cut or changed is void."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

import torch

from zfscale.engine.module_leaves import ModuleLeaf, ModuleLeaves
from zfscale.errors import ZfscaleError
from zfscale.results.layout import TRIALS, file_of, snapshot_of, snapshots_of
from zfscale.results.patience import patiently
from zfscale.results.storage import Place, storage
from zfscale.training.checkpoints import Checkpoint
from zfscale.training.tensors import Torn, load, save


class Snapshots:
    """Trained weights at the end of first-order phases, which no ledger can rebuild: one safetensors file a task.

    Inside a phase, there is a `checkpoint` besides, every so many `minutes`.
    """

    def __init__(self, results: Place, trial_id: str, minutes: float | None = None) -> None:
        self.storage, self.trial_id, self.folder = storage(results), trial_id, snapshots_of(trial_id)
        self.checkpoint = Checkpoint(results, trial_id, minutes)

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
        self.checkpoint.remove()

    def load(self, task: int, leaves: ModuleLeaves) -> None:
        """Write the snapshot of a task into the leaves; ZfscaleError if it is missing or damaged."""
        kept = self._kept(task, leaves)
        for leaf in leaves:
            leaf.parameter.data.copy_(kept[leaf.name])

    def file(self, task: int) -> bytes:
        """The snapshot of a task as a file, for another trial. Errors: ZfscaleError if it is missing or damaged."""
        self._kept(task)
        return patiently(partial(self.storage.read, self._name(task)), self._file(task)) or b""

    def put(self, task: int, data: bytes) -> None:
        """Keep the `file` of another trial's snapshot, unless there is one."""
        if not self.storage.exists(self._name(task)):
            patiently(partial(self.storage.write, self._name(task), data), self._file(task))

    def remove(self) -> None:
        """They have served."""
        patiently(partial(self.storage.remove, self.folder), f"{self.storage}/{self.folder}")

    def _kept(self, task: int, leaves: Iterable[ModuleLeaf] = ()) -> dict[str, torch.Tensor]:
        try:
            kept = patiently(partial(self._read, task), self._file(task))
            if kept is None:
                raise Torn("the snapshot of a first-order phase is missing")
            if odd := [n.name for n in leaves if n.name not in kept or kept[n.name].shape != n.parameter.shape]:
                raise Torn(f"{odd[0]!r} is missing or has another shape")
        except Torn as torn:
            raise ZfscaleError(f"{self._file(task)}: {torn}; to make it again, {self._again()}") from torn
        return kept

    def _again(self) -> str:
        """How a user has the trial made again; where its row is in a file with others, only elsewhere."""
        row = file_of(TRIALS, self.trial_id)
        if self.storage.exists(row):
            return f"remove {self.storage}/{row} and run the sweep again"
        return "run its sweep with another output.dir"

    def _read(self, task: int) -> dict[str, torch.Tensor] | None:
        """The tensors on the CPU; None if there is no such file. Errors: Torn."""
        found = load(self.storage, self._name(task))
        return found and found.tensors

    def _write(self, task: int, tensors: dict[str, torch.Tensor]) -> None:
        with self.storage.writing(self._name(task)) as path:
            save(tensors, path)

    def _file(self, task: int) -> str:
        return f"{self.storage}/{self._name(task)}"

    def _name(self, task: int) -> str:
        return snapshot_of(self.trial_id, task)
