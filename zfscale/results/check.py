"""What a results directory holds: whole trials, damaged ones, and files that are not tables of ours.

A trial is whole if its row in `trials` is, and the row's column `files` says how many bytes with which checksum its
other tables have. Rows of earlier versions have no such column: their tables are checked by their content. A failed
trial has either all tables or, as those of earlier versions and of workers that died, none.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from zfscale.errors import StorageError, ZfscaleError
from zfscale.records import Status
from zfscale.results.layout import LEDGER, STEPS, TABLES, TRIALS, file_of
from zfscale.results.patience import reason
from zfscale.results.schema import HEAD, RECORDS, TAIL
from zfscale.results.seal import digest, intact
from zfscale.results.storage import Directory, Place, Storage, storage
from zfscale.results.structure import ledger_problem, problem_of
from zfscale.spec import TrialSpec

T = TypeVar("T")
NAME = re.compile(r"([0-9a-f]{12})\.parquet")
COLUMNS = pa.schema([*HEAD, *TAIL])
OPTIONAL = frozenset(TAIL.names)  # columns that rows of earlier versions may lack
NEEDED = ("trial_id", "status", "spec", "forwards", "files")  # columns that are looked at in any case
LISTED = 10  # files of a kind that are named to the user
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


@dataclass
class Found:
    """Rows of `trials` of the whole trials in order of their ids, faults of the others, and files of other names."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def damaged(self) -> list[str]:
        """Ids of the trials that are not whole."""
        return sorted({fault.trial_id for fault in self.faults})


class Damaged(ValueError):
    """What is wrong with a file, in a few words."""


class DamagedFile(ZfscaleError):
    """A file of a trial is not what the trial wrote."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@contextmanager
def naming(table: str, trial_id: str) -> Iterator[None]:
    """Say of which file it is that something is wrong with."""
    try:
        yield
    except Damaged as damage:
        raise DamagedFile(Fault(trial_id, file_of(table, trial_id), str(damage))) from damage


def look(
    root: Place, columns: Sequence[str] = (), only: Collection[str] | None = None, all_tables: bool = True
) -> Found:
    """Read the trials of a results directory and check every file of theirs.

    Args:
        root: The results; an absent directory holds nothing.
        columns: Columns of HEAD and TAIL that the rows shall have, beside NEEDED.
        only: Ids of the trials that are of interest; None for all.
        all_tables: Whether the tables beside `trials` are checked.

    Raises:
        StorageError: The storage does not answer; this says nothing about a trial.
    """
    there, found = storage(root), Found()
    listed: dict[str, set[str]] = {}
    for table in TABLES:
        names = there.names(table)
        ids = {match[1] for name in names if (match := NAME.fullmatch(name.rpartition("/")[2]))}
        others = [name for name in names if not NAME.fullmatch(name.rpartition("/")[2])]
        found.ignored += [name.encode(errors="backslashreplace").decode() for name in others]  # not all are UTF-8
        listed[table] = ids if only is None else ids & set(only)
    wanted = [*dict.fromkeys([*NEEDED, *columns])]
    for row in each(there, sorted(listed[TRIALS]), lambda trial_id: _trial(there, trial_id, wanted, all_tables)):
        if isinstance(row, Fault):
            found.faults.append(row)
        else:
            found.rows.append(row)
    for table in RECORDS if all_tables else ():
        orphans = sorted(listed[table] - listed[TRIALS] - set(found.damaged))
        found.faults += [Fault(i, file_of(TRIALS, i), f"missing, though {file_of(table, i)} is there") for i in orphans]
    return found


def first(lines: Sequence[str]) -> list[str]:
    """The first few lines, and how many more there are.

    >>> first([str(i) for i in range(12)])[-2:]
    ['9', 'and 2 more']
    """
    rest = len(lines) - LISTED
    return [*lines[:LISTED], *([f"and {rest} more"] if rest > 0 else [])]


def contents(there: Storage, row: dict[str, Any]) -> dict[str, pa.Table]:
    """The tables of a trial that has not failed, given its row in `trials`, checked by their content too.

    Raises:
        DamagedFile: One of them is not what the trial wrote.
    """
    found, committed = {}, _committed(row)
    for table, schema in RECORDS.items():
        with naming(table, row["trial_id"]):
            data = _read(there, file_of(table, row["trial_id"]))
            if committed:
                _compare(data, committed[table])
            found[table] = _parse(data, schema, schema.names)
            problem = problem_of(table, found[table], row)
            if table == LEDGER and not problem:
                problem = ledger_problem(found[LEDGER], found[STEPS], TrialSpec.from_json(row["spec"]))
            if problem:
                raise Damaged(problem)
    return found


def each(there: Storage, ids: Iterable[str], act: Callable[[str], T]) -> Iterator[T]:
    """In order; of a bucket, which takes its time for each, many at once."""
    if isinstance(there, Directory):
        yield from map(act, ids)
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(act, ids)


def _trial(there: Storage, trial_id: str, columns: Sequence[str], all_tables: bool) -> dict[str, Any] | Fault:
    """The row of a trial that is whole."""
    try:
        with naming(TRIALS, trial_id):
            row = _row(_read(there, file_of(TRIALS, trial_id)), trial_id, columns)
            committed = _committed(row)
        if not all_tables:
            return row
        if committed is None and row["status"] != Status.FAILED:
            contents(there, row)
        for table, file in (committed or {}).items():
            with naming(table, trial_id):
                _compare(_read(there, file_of(table, trial_id)), file)
    except DamagedFile as damage:
        return damage.fault
    return row


def _committed(row: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    """What the row of a trial says of its other files; None of one of an earlier version."""
    if row["files"] is None:
        return None
    try:
        files = json.loads(row["files"])
        wanted = () if row["status"] == Status.FAILED and not files else RECORDS
        return {table: {key: files[table][key] for key in ("bytes", "sha256")} for table in wanted}
    except (ValueError, LookupError, TypeError) as error:
        raise Damaged("`files` is not what a trial writes") from error


def _row(data: bytes, trial_id: str, columns: Sequence[str]) -> dict[str, Any]:
    whole = intact(data)
    if whole is False:
        raise Damaged("changed since it was written (its checksum differs)")
    table = _parse(data, COLUMNS, columns)
    if table.num_rows != 1:
        raise Damaged(f"{table.num_rows} rows instead of one")
    (row,) = table.to_pylist()
    if row["trial_id"] != trial_id:
        raise Damaged(f"holds trial {row['trial_id']!r}")
    if row["status"] not in list(Status):
        raise Damaged(f"status is {row['status']!r}")
    if whole is None and _id_of(row["spec"]) != trial_id:
        raise Damaged("`spec` is not that of the trial")
    return {name: row.get(name) for name in columns}


def _id_of(spec: str | None) -> str | None:
    try:
        return TrialSpec.from_json(spec or "").trial_id
    except ValueError:
        return None


def _read(there: Storage, name: str) -> bytes:
    try:
        data = there.read(name)
    except StorageError as error:
        if error.errno in DAMAGE or isinstance(error.__cause__, IsADirectoryError):
            raise Damaged(f"cannot be read: {reason(error.__cause__)}") from error  # type: ignore[arg-type]
        raise
    if data is None:
        raise Damaged("missing")
    return data


def _compare(data: bytes, committed: dict[str, Any]) -> None:
    if len(data) != committed["bytes"]:
        raise Damaged(f"{len(data)} bytes instead of {committed['bytes']}")
    if digest(data) != committed["sha256"]:
        raise Damaged("changed since it was written (its checksum differs)")


def _parse(data: bytes, schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """These columns of a Parquet file, an absent one left out; all that it has must be of the types in `schema`."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        there, wanted = _types(file.schema_arrow), _types(schema)
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


def _types(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Column -> type; asked a schema column by column, Arrow takes longer than for all of the rest."""
    if len(types := dict(zip(schema.names, schema.types, strict=True))) < len(schema):
        raise Damaged("another schema: it has a column twice")
    return types


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(". ") or type(error).__name__
