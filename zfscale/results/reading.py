"""Reading a file of the tables: what it holds, or what is wrong with it, in a few words that name the file."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from zfscale.errors import StorageError, ZfscaleError
from zfscale.results.patience import reason
from zfscale.results.schema import TAIL
from zfscale.results.seal import digest
from zfscale.results.storage import Directory, Storage

T = TypeVar("T")
OPTIONAL = frozenset(TAIL.names)  # columns that rows of earlier versions may lack
CHANGED = "changed since it was written (its checksum differs)"
AT_ONCE = 16  # files of a bucket that are read at a time
# Of a file that is there and cannot be read; any other error is of the storage, and nothing follows from it.
DAMAGE = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.EIO, errno.ENOTDIR, errno.EINVAL}


@dataclass(frozen=True)
class Fault:
    """A file that makes its trial a damaged one, and what is wrong with it."""

    trial_id: str
    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


class Damaged(ValueError):
    """What is wrong with a file, in a few words."""


class DamagedFile(ZfscaleError):
    """A file of a trial is not what the trial wrote."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@contextmanager
def naming(file: str, trial_id: str) -> Iterator[None]:
    """Say of which file of a trial it is that something is wrong with."""
    try:
        yield
    except Damaged as damage:
        raise DamagedFile(Fault(trial_id, file, str(damage))) from damage


def each(there: Storage, ids: Iterable[str], act: Callable[[str], T]) -> Iterator[T]:
    """In order; of a bucket, which takes its time for each, many at once."""
    if isinstance(there, Directory):
        yield from map(act, ids)
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(act, ids)


class Readable(Protocol):
    """Whatever has files by name."""

    def read(self, name: str) -> bytes | None: ...


def read(there: Readable, name: str) -> bytes:
    """The content of a file. Errors: Damaged if it is missing or cannot be read; StorageError of the storage."""
    try:
        data = there.read(name)
    except StorageError as error:
        if error.errno in DAMAGE or isinstance(error.__cause__, IsADirectoryError):
            raise Damaged(f"cannot be read: {reason(error.__cause__)}") from error  # type: ignore[arg-type]
        raise
    if data is None:
        raise Damaged("missing")
    return data


def compare(data: bytes, committed: dict[str, Any]) -> None:
    """Damaged, if this is not what was written."""
    if len(data) != committed["bytes"]:
        raise Damaged(f"{len(data)} bytes instead of {committed['bytes']}")
    if digest(data) != committed["sha256"]:
        raise Damaged(CHANGED)


def parse(data: bytes, schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """These columns of a Parquet file, an absent one left out; all that it has must be of the types in `schema`."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        there, wanted = types(file.schema_arrow), types(schema)
        known = [name for name in columns if name in there]
        odd = [name for name, kind in wanted.items() if there.get(name, kind) != kind]
        missing = [name for name in columns if name in wanted and name not in there and name not in OPTIONAL]
        if odd or missing:
            raise Damaged(
                f"another schema: column {(odd or missing)[0]!r} is {'missing' if missing else 'of another type'}"
            )
        return file.read(known, use_threads=False)
    except Damaged:
        raise
    except Exception as error:  # whatever Arrow makes of bytes that are no Parquet
        raise Damaged(f"no Parquet file, or a damaged one ({_first_line(error)})") from error


def types(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Column -> type; asked a schema column by column, Arrow takes longer than for all of the rest."""
    if len(types := dict(zip(schema.names, schema.types, strict=True))) < len(schema):
        raise Damaged("another schema: it has a column twice")
    return types


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(". ") or type(error).__name__
