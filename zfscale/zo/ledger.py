"""The ledger of a trial in progress: an append-only file from which a killed trial goes on where it was.

One record a step, a few tens of bytes: the step's place, rate, loss and accounting, and (seed, coefficient) of its
queries. Base weights + ledger = weights at any step, so the file is the checkpoint. A record that was being written
when the process died fails its checksum; it and what follows are cut off.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD = struct.Struct("<HIddQdbBI")  # task, step, lr, loss, forwards, seconds, accepted, queries, crc32 of the rest
QUERY = struct.Struct("<qd")  # seed, coefficient


@dataclass(frozen=True)
class Entry:
    """One step as it was taken; `forwards` and `seconds` are the trial's totals after it."""

    task: int
    step: int
    lr: float
    loss: float
    forwards: int
    seconds: float
    accepted: int
    seeds: tuple[int, ...]
    coefficients: tuple[float, ...]

    def pack(self) -> bytes:
        """The entry as bytes."""
        queries = b"".join(QUERY.pack(s, c) for s, c in zip(self.seeds, self.coefficients, strict=True))
        return HEAD.pack(*self._head(), self._checksum(queries)) + queries

    def _head(self) -> tuple[int | float, ...]:
        place = (self.task, self.step, self.lr, self.loss, self.forwards, self.seconds)
        return (*place, self.accepted, len(self.seeds))

    def _checksum(self, queries: bytes) -> int:
        return zlib.crc32(HEAD.pack(*self._head(), 0) + queries)


class Ledger:
    """Entries of one trial in one file: `past` is what was there, `append` adds, `remove` when the trial has ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes() if path.exists() else b""
        self.past: list[Entry] = list(entries(data))
        whole = sum(len(entry.pack()) for entry in self.past)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (held open as long as the trial runs)
        self._file.truncate(whole)

    def append(self, entry: Entry) -> None:
        """Hand the entry to the kernel: it outlives this process from here on."""
        self._file.write(entry.pack())

    def remove(self) -> None:
        """The trial's tables are written: the file has served."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def entries(data: bytes) -> Iterator[Entry]:
    """The whole entries at the start of `data`; ends at the first that is torn or damaged."""
    at = 0
    while at + HEAD.size <= len(data):
        task, step, lr, loss, forwards, seconds, accepted, count, _ = HEAD.unpack_from(data, at)
        end = at + HEAD.size + count * QUERY.size
        if end > len(data):
            return
        pairs = [QUERY.unpack_from(data, at + HEAD.size + i * QUERY.size) for i in range(count)]
        seeds, coefficients = tuple(s for s, _ in pairs), tuple(c for _, c in pairs)
        entry = Entry(task, step, lr, loss, forwards, seconds, accepted, seeds, coefficients)
        if entry.pack() != data[at:end]:
            return
        yield entry
        at = end
