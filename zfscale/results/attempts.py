"""What the results keep of a trial while it runs: how often it was started, its ledger, how far it has come."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from zfscale.results.layout import ledger_of, snapshots_of, starts_of
from zfscale.results.patience import patiently
from zfscale.results.storage import Directory, Place, Storage, storage
from zfscale.zo.ledger import Entry, Ledger

START, HALVED = b".", b"h"  # of a start: as the spec says, and with half its micro-batch
SEND_EVERY = 30.0  # seconds of steps that are taken again at most, where results are a bucket and the machine is lost


def start_attempt(root: Place, trial_id: str, sign: bytes = START) -> int:
    """Count a start of the trial (a byte a start, so that a killed attempt counts too); which one it is."""
    there, name, starts = storage(root), starts_of(trial_id), _starts(root, trial_id) + sign
    # Without power, a count may go; that memory ran out decides how the trial is computed.
    patiently(partial(there.write, name, starts, lasting=HALVED in starts), f"{there}/{name}")
    return len(starts)


def halve(root: Place, trial_id: str) -> None:
    """Mark the last start, as one that has half the micro-batch after all, and so all that follow."""
    there, name, begun = storage(root), starts_of(trial_id), _starts(root, trial_id)
    patiently(partial(there.write, name, begun[:-1] + HALVED), f"{there}/{name}")


def starts(row: Mapping[str, Any]) -> bytes:
    """The starts of a trial that its row in `trials` tells of: `attempts`, and whether `micro_batch` was halved.

    >>> starts({"attempts": 2, "micro_batch": None}), starts({"attempts": 1, "micro_batch": 4})
    (b'..', b'h')
    """
    return (START if row["micro_batch"] is None else HALVED) * int(row["attempts"])


def attempts_of(root: Place, trial_id: str) -> int:
    """How often the trial was started."""
    return len(_starts(root, trial_id))


def was_halved(root: Place, trial_id: str) -> bool:
    """Whether memory ran out in an attempt before, so that all since have half the micro-batch."""
    return HALVED in _starts(root, trial_id)


def _starts(root: Place, trial_id: str) -> bytes:
    there, name = storage(root), starts_of(trial_id)
    return patiently(partial(there.read, name), f"{there}/{name}") or b""


def progress(root: Place, trial_id: str) -> int:
    """Grows as the trial gets further: bytes of its ledger, and its snapshots."""
    there = storage(root)
    return len(there.read(ledger_of(trial_id)) or b"") + len(there.names(snapshots_of(trial_id)))


def open_ledger(root: Place, trial_id: str) -> Ledger:
    """The trial's ledger: in a directory the file itself, of a bucket a copy that is sent now and then."""
    there, name = storage(root), ledger_of(trial_id)
    return Ledger(there.local(name)) if isinstance(there, Directory) else SentLedger(there, name)


class SentLedger(Ledger):
    """A ledger on this machine's disk, sent to a bucket: an object cannot be appended to.

    What is sent is always the start of a ledger, so a trial that goes on elsewhere takes a few steps again.
    """

    def __init__(self, there: Storage, name: str) -> None:
        super().__init__(there.local(name))
        self._there, self._name = there, name
        self._sent = time.monotonic()

    def append(self, entry: Entry) -> None:
        """Write the entry here, and now and then all to the bucket."""
        super().append(entry)
        if time.monotonic() - self._sent > SEND_EVERY:
            self._send()

    def flush(self) -> None:
        """Write all to the bucket. Errors: StorageError, if it refuses for about a minute."""
        super().flush()
        patiently(partial(self._there.send, self._name), f"{self._there}/{self._name}")
        self._sent = time.monotonic()

    def remove(self) -> None:
        """Here and there."""
        super().remove()
        patiently(partial(self._there.remove, self._name), f"{self._there}/{self._name}")

    def _send(self) -> None:
        try:
            self._there.send(self._name)
        except OSError as error:  # it is for a restart only: the trial goes on
            logging.getLogger(__name__).warning("%s: the ledger was not sent: %s", self._there, error)
        self._sent = time.monotonic()
