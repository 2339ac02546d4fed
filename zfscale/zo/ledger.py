"""The ledger of a trial in progress: an append-only file from which a killed trial goes on where it was.

One record a step, in the order they were taken, 16 bytes and 16 a query: loss, accounting, and (seed, coefficient) of
the queries. Base weights + ledger = weights at any step, so the file is the checkpoint. Place and learning rate of a
step follow from its number. A record that was being written when the process died fails its checksum; it and what
follows are cut off.
"""

from __future__ import annotations

import binascii
import errno
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from zfscale.results.patience import patiently
from zfscale.zo.exact import ARITHMETIC

MAGIC = f"zfscale ledger 2.{ARITHMETIC}\n".encode()  # a file of another format, or of other arithmetic, is void
HEAD = struct.Struct("<HBBfd")  # checksum of the rest, accepted + 1 and queries, forwards, seconds, loss
QUERY = struct.Struct("<qd")  # seed, coefficient
QUERIES = 64  # accepted + 1 and the number of queries share a byte: 64 * (accepted + 1) + queries


@dataclass(frozen=True)
class Entry:
    """One step as it was taken; `forwards` are its own, `seconds` the trial's (in single precision) at its end."""

    loss: float
    forwards: int
    seconds: float
    accepted: int
    seeds: tuple[int, ...]
    coefficients: tuple[float, ...]

    @property
    def finite(self) -> bool:
        """Whether the loss and every coefficient are numbers."""
        return all(map(math.isfinite, (self.loss, *self.coefficients)))

    def pack(self) -> bytes:
        """The entry as bytes."""
        queries = b"".join(QUERY.pack(s, c) for s, c in zip(self.seeds, self.coefficients, strict=True))
        tags = QUERIES * (self.accepted + 1) + len(self.seeds)
        body = HEAD.pack(0, tags, self.forwards, self.seconds, self.loss)[2:] + queries
        return struct.pack("<H", binascii.crc_hqx(body, 0xFFFF)) + body


class Ledger:
    """Entries of one trial in one file: `past` is what was there, `append` adds, `remove` when the trial has ended.

    The file may be no link. Errors of all methods: StorageError, if the storage refuses for about a minute.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._handle = path, -1
        self.past: list[Entry] = list(entries(patiently(self._begin, str(path))))
        self._cut()

    def append(self, entry: Entry) -> None:
        """Hand the entry to the kernel: it outlives this process from here on."""
        data = entry.pack()
        patiently(partial(self._write, data, self._end), str(self._path))
        self._end += len(data)

    def flush(self) -> None:
        """What was appended outlives this machine, and is seen by others, from here on."""
        patiently(self._sync, str(self._path))

    def begin_with(self, past: list[Entry]) -> None:
        """Let these be the past, whatever was there: the steps that a trial shares with another."""
        data = b"".join(entry.pack() for entry in past)
        patiently(partial(self._write, MAGIC + data, 0, len(MAGIC) + len(data)), str(self._path))
        self.past, self._end = past, len(MAGIC) + len(data)

    def drop(self, count: int) -> None:
        """Take the last `count` entries of the past back: the steps will be taken again."""
        self.past = self.past[: len(self.past) - count]
        self._cut()

    def remove(self) -> None:
        """The trial's tables are written: the file has served."""
        self.close()
        patiently(partial(self._path.unlink, missing_ok=True), str(self._path))

    def close(self) -> None:
        """Leave the file to the next attempt."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def __del__(self) -> None:
        self.close()

    def _begin(self) -> bytes:
        """Open the file; what is in it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._open(), "rb", closefd=False) as file:
            file.seek(0)
            return file.read()

    def _open(self) -> int:
        if self._handle < 0:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        return self._handle

    def _sync(self) -> None:
        os.fsync(self._open())

    def _cut(self) -> None:
        """The file holds the past and no more; what is appended comes after it."""
        self._end = len(MAGIC) + sum(len(entry.pack()) for entry in self.past)
        patiently(partial(self._write, MAGIC, 0, self._end), str(self._path))

    def _write(self, data: bytes, at: int, end: int | None = None) -> None:
        """Write at a place, which a second try writes over; the file then ends at `end`, if that is given."""
        try:
            handle = self._open()
            if os.pwrite(handle, data, at) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            if end is not None:
                os.ftruncate(handle, end)
        except OSError:
            self.close()  # a server that was away may not know the handle any more
            raise


class Past:
    """The entries of a ledger whose file another process keeps, for a rank that takes the same steps."""

    def __init__(self, past: list[Entry]) -> None:
        self.past = past

    def append(self, entry: Entry) -> None:
        """Kept elsewhere."""

    def drop(self, count: int) -> None:
        """Take the last `count` entries back."""
        self.past = self.past[: len(self.past) - count]


def entries(data: bytes) -> Iterator[Entry]:
    """The whole entries at the start of a file; ends at the first that is torn or damaged."""
    at = len(MAGIC) if data.startswith(MAGIC) else len(data)
    while at + HEAD.size <= len(data):
        _, tags, forwards, seconds, loss = HEAD.unpack_from(data, at)
        accepted, count = tags // QUERIES - 1, tags % QUERIES
        end = at + HEAD.size + count * QUERY.size
        if end > len(data):
            return
        pairs = [QUERY.unpack_from(data, at + HEAD.size + i * QUERY.size) for i in range(count)]
        seeds, coefficients = tuple(s for s, _ in pairs), tuple(c for _, c in pairs)
        entry = Entry(loss, forwards, seconds, accepted, seeds, coefficients)
        if entry.pack() != data[at:end]:
            return
        yield entry
        at = end
