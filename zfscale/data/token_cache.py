"""What was tokenised, on disk: of each side of a source's split, all documents as far as the source was read.

An entry serves every block size and every budget. Each side is one file, replaced whole: a reader sees the old one or
the new one, and of concurrent writers none loses more than time. Tokens go to the file as they come and are mapped
from it, so that a side may be larger than memory.

A file is the token ids, the table of documents, what `_Footer` says as JSON, its length in 8 bytes, and `MAGIC`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zfscale.data.aside import Aside
from zfscale.errors import DataError

FORMAT = 4  # of the cache; also to be raised when the documents of an embedded domain change
MAGIC = b"zftokens"
PART = 1 << 20  # tokens that have a checksum of their own
TABLE = np.dtype([("tokens", "<i8"), ("size", "<i8"), ("digest", "<u8")])  # of documents
SIDES = ("train", "held_out")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Side:
    """Documents of one side, the first ones that the source has of it; T tokens, D documents.

    ids: int32 [T], one document after the other. table: [D] of `TABLE`, each one's tokens, bytes of text and the start
    of its hash. `read` counts the documents of the source, of either side, up to where this side was looked for;
    `ended`: it has no more. `notes` are what is to be said of the reading.
    """

    ids: np.ndarray
    table: np.ndarray
    read: int = 0
    ended: bool = False
    notes: tuple[str, ...] = ()

    def has(self, needs: int | None) -> bool:
        """Whether nothing is to be read for the first `needs` tokens (None: all there are)."""
        return self.ended or (needs is not None and len(self.ids) >= needs)


NOTHING = Side(np.empty(0, np.int32), np.empty(0, TABLE))


@dataclass(frozen=True)
class _Footer:
    tokens: int
    documents: int
    checksums: list[int]  # of each part of the ids, then of the table
    read: int
    ended: bool
    notes: list[str]


def entry(cache: Path, key: Sequence[Any], side: str) -> Path:
    """The file of one of `SIDES`, of a key of plain data."""
    return cache / f"{hashlib.sha256(json.dumps([FORMAT, *key]).encode()).hexdigest()}.{side}"


def read(file: Path, needs: int | None) -> Side:
    """The side in a file, mapped; `NOTHING` if there is none, or one that is not as it was written.

    What the first `needs` tokens take is checked, or, if there are fewer or this is None, all.
    """
    try:
        footer = _footer(file)
        table = np.fromfile(file, TABLE, footer.documents, offset=4 * footer.tokens)
        take = footer.tokens if needs is None or needs > footer.tokens else needs
        _check(file, footer, table, take)
        ids = np.memmap(file, np.int32, "r", shape=(footer.tokens,)) if footer.tokens else NOTHING.ids
        return Side(np.asarray(ids), table, footer.read, footer.ended, tuple(footer.notes))
    except FileNotFoundError:
        return NOTHING
    except (OSError, ValueError, TypeError, IndexError) as error:
        log.warning("%s: cannot be read (%s); the text will be tokenised again", file, error)
        return NOTHING


def _footer(file: Path) -> _Footer:
    """What is written behind the table; ValueError if the file is no side, or a cut one."""
    size = os.path.getsize(file)
    with open(file, "rb") as handle:
        handle.seek(max(0, size - 16))
        end = handle.read()
        length = int.from_bytes(end[:8], "little")
        if len(end) < 16 or end[8:] != MAGIC or length > size - 16:
            raise ValueError("it is cut, or another file")
        handle.seek(size - 16 - length)
        footer = _Footer(**json.loads(handle.read(length)))
    if 4 * footer.tokens + TABLE.itemsize * footer.documents != size - 16 - length:
        raise ValueError("its parts do not fit together")
    return footer


def _check(file: Path, footer: _Footer, table: np.ndarray, take: int) -> None:
    *parts, last = footer.checksums
    with open(file, "rb") as handle:
        for part in range(-(-take // PART)):
            length = 4 * min(PART, footer.tokens - part * PART)
            if zlib.crc32(handle.read(length)) != parts[part]:
                raise ValueError(f"its checksum is wrong for tokens from {part * PART} on")
    if zlib.crc32(table.tobytes()) != last:
        raise ValueError("its checksum is wrong for the table of documents")


class Growth:
    """A side that is added to, aside from the file that it came from until it is kept.

    Errors: DataError if there is no room for it.
    """

    def __init__(self, place: Path, old: Side) -> None:
        self._place, self._old = place, old
        self.tokens = 0
        self._added = tuple(array(code) for code in "qqQ")  # columns of `TABLE`
        self._buffer = array("i")  # less than a part
        self._checksums: list[int] = []
        self._aside, self._stays = _aside(place)
        try:
            for start in range(0, len(old.ids), PART):
                self._extend(array("i", old.ids[start : start + PART].tobytes()))
        except BaseException:
            self.drop()
            raise

    def add(self, ids: Sequence[int], size: int, digest: int) -> None:
        """Add a document of `size` bytes; `digest` has 64 bits."""
        self._extend(ids)
        for column, value in zip(self._added, (len(ids), size, digest), strict=True):
            column.append(value)

    def keep(self, upto: int, ended: bool, notes: Sequence[str]) -> Side:
        """The side, in its place, unless another process has read further in the meantime: any is a prefix of it."""
        added = np.empty(len(self._added[0]), TABLE)
        for name, column in zip(TABLE.names or (), self._added, strict=True):
            added[name] = column
        table = np.concatenate([self._old.table, added])
        self._write(self._buffer)
        checksums = [*self._checksums, zlib.crc32(table.tobytes())]
        footer = json.dumps(asdict(_Footer(self.tokens, len(table), checksums, upto, ended, list(notes)))).encode()
        self._put(table.tobytes() + footer + len(footer).to_bytes(8, "little") + MAGIC)
        return self._settle(upto, ended)

    def drop(self) -> None:
        """Leave nothing, unless it was kept."""
        self._aside.drop()

    def _settle(self, upto: int, ended: bool) -> Side:
        with self._told():
            self._aside.file.flush()
            side = read(self._aside.path, 0)  # mapped, it outlasts whatever happens to the name
            if self._stays:
                other = read(self._place, 0)
                if (other.read, other.ended) <= (upto, ended):
                    self._aside.keep(self._place)
        return side

    def _extend(self, ids: Sequence[int]) -> None:
        self.tokens += len(ids)
        self._buffer.extend(ids)
        while len(self._buffer) >= PART:
            self._write(self._buffer[:PART])
            del self._buffer[:PART]

    def _write(self, ids: array[int]) -> None:
        if ids:
            self._checksums.append(zlib.crc32(ids.tobytes()))
            self._put(ids.tobytes())

    def _put(self, content: bytes) -> None:
        with self._told():
            self._aside.file.write(content)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"{self._aside.path.parent}: tokens cannot be written: {error.strerror} "
                f"({self.tokens:,} tokens of 4 bytes so far); XDG_CACHE_HOME names another place"
            ) from error


def _aside(place: Path) -> tuple[Aside, bool]:
    """A file beside `place`, True; or, where none can be, one that is to be had for this process only, False."""
    try:
        return Aside(place.parent), True
    except OSError as error:
        log.warning("%s: cannot be written (%s); the text will be tokenised again", place, error)
        return Aside(Path(tempfile.gettempdir())), False
