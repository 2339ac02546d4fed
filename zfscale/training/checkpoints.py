"""The checkpoint of a first-order phase: what a killed trial needs to resume inside a stage, bit for bit.

Weights and the optimizer's state, in one safetensors file with a checksum, replaced every few minutes. Order of the
data, learning rate, dropout and augmentation follow from the number of a step, so nothing else is kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch

from zfscale.results.layout import checkpoint_of
from zfscale.results.patience import patiently
from zfscale.results.storage import Place, storage
from zfscale.training.tensors import Torn, load, save
from zfscale.zo.ledger import Entry

MINUTES = 60.0
State = Mapping[str, torch.Tensor]


class Kept(NamedTuple):
    """A checkpoint that was read back: how many steps of the task it is after, and the tensors."""

    steps: int
    tensors: State


class Checkpoint:
    """That of one trial; with `minutes` 0 or None, none is written, nor one of an earlier run read.

    Errors of all methods: StorageError, if the storage refuses for about a minute.
    """

    def __init__(self, results: Place, trial_id: str, minutes: float | None = None) -> None:
        self._storage, self._name, self._minutes = storage(results), checkpoint_of(trial_id), minutes
        self._written = time.monotonic()

    def write(self, task: int, steps: int, last: Entry, state: Callable[[], State]) -> None:
        """Replace the file by the state after so many steps of a task, `last` being the last, if it is time."""
        if not self._minutes or time.monotonic() - self._written < self._minutes * MINUTES:
            return
        about = {"task": str(task), "count": str(steps), "after": last.pack().hex()}
        patiently(partial(self._write, dict(state()), about), f"{self._storage}/{self._name}")
        self._written = time.monotonic()

    def read(self, task: int, past: list[Entry]) -> Kept | None:
        """What was kept of a task whose first steps were these; None if that is nothing, or not of these steps."""
        if not self._minutes:
            return None
        try:
            found = patiently(partial(load, self._storage, self._name), f"{self._storage}/{self._name}")
        except Torn as torn:
            logging.getLogger(__name__).warning("%s/%s: %s: void", self._storage, self._name, torn)
            return None
        if found is None or found.about.get("task") != str(task):
            return None
        steps = int(found.about["count"])
        if not 0 < steps <= len(past) or past[steps - 1].pack().hex() != found.about["after"]:
            return None
        return Kept(steps, found.tensors)

    def remove(self) -> None:
        """Its stage has ended."""
        patiently(partial(self._storage.remove, self._name), f"{self._storage}/{self._name}")

    def _write(self, tensors: dict[str, torch.Tensor], about: dict[str, str]) -> None:
        with self._storage.writing(self._name) as path:
            save(tensors, path, about)
