"""What a results directory holds: whole trials, damaged ones, and files that are not tables of ours.

A trial is whole if its row in `trials` is, and the row's column `files` says how many bytes with which checksum its
files in the other tables have. Those of a trial that runs or was interrupted are there without a row.
Rows of earlier versions have no such column: their tables are checked by their content. A failed trial has either all
tables or, as those of earlier versions and of workers that told nothing, none.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa

from zfscale.records import Status
from zfscale.results.layout import EVALS, LEDGER, STEPS, TRIALS, file_of
from zfscale.results.listing import Listing, begun
from zfscale.results.reading import Damaged, DamagedFile, Fault, compare, each, naming, parse, read
from zfscale.results.schema import HEAD, RECORDS, TAIL
from zfscale.results.seal import intact
from zfscale.results.storage import Place, Storage, storage
from zfscale.results.structure import ledger_problem, problem_of
from zfscale.spec import TrialSpec

Committed: TypeAlias = "dict[str, list[dict[str, Any]]]"  # table -> bytes and SHA-256 of each file of a trial
COLUMNS = pa.schema([*HEAD, *TAIL])
NEEDED = ("trial_id", "status", "spec", "forwards", "files")  # columns that are looked at in any case
LISTED = 10  # files of a kind that are named to the user


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
    there = storage(root)
    going = begun(there) if all_tables else set()  # before the rows: a trial may end meanwhile
    listing = Listing.of(there, (EVALS, STEPS, LEDGER, TRIALS))
    found, wanted = Found(ignored=listing.ignored), [*dict.fromkeys([*NEEDED, *columns])]
    mine = sorted(i for i in listing.own[TRIALS] if only is None or i in only)
    for row in each(there, mine, lambda trial_id: _trial(there, listing, trial_id, wanted, all_tables)):
        if isinstance(row, Fault):
            found.faults.append(row)
        else:
            found.rows.append(row)
    for table in RECORDS if all_tables else ():
        orphans = listing.own[table].keys() - listing.own[TRIALS].keys() - going - set(found.damaged)
        missing = sorted(i for i in orphans if only is None or i in only)
        found.faults += [
            Fault(i, file_of(TRIALS, i), f"missing, though {file_of(table, i, min(listing.own[table][i]))} is there")
            for i in missing
        ]
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
    for table in RECORDS:
        found[table] = pa.concat_tables(_files(there, table, row["trial_id"], committed))
        with naming(table, row["trial_id"]):
            problem = problem_of(table, found[table], row)
            if table == LEDGER and not problem:
                problem = ledger_problem(found[LEDGER], found[STEPS], TrialSpec.from_json(row["spec"]))
            if problem:
                raise Damaged(problem)
    return found


def _files(there: Storage, table: str, trial_id: str, committed: Committed | None) -> Iterator[pa.Table]:
    """The content of each file of a trial in a table."""
    for number, file in enumerate([None] if committed is None else committed[table]):
        with naming(table, trial_id, number):
            data = read(there, file_of(table, trial_id, number))
            if file is not None:
                compare(data, file)
            yield parse(data, RECORDS[table], RECORDS[table].names)


def _trial(
    there: Storage, listing: Listing, trial_id: str, columns: Sequence[str], all_tables: bool
) -> dict[str, Any] | Fault:
    """The row of a trial that is whole."""
    try:
        with naming(TRIALS, trial_id):
            row = _row(read(there, file_of(TRIALS, trial_id)), trial_id, columns)
            committed = _committed(row)
        if not all_tables:
            return row
        if committed is None and row["status"] != Status.FAILED:
            contents(there, row)
        for table, files in (committed or {}).items():
            for number, file in enumerate(files):
                with naming(table, trial_id, number):
                    compare(read(there, file_of(table, trial_id, number)), file)
        _no_more(listing, trial_id, committed)
    except DamagedFile as damage:
        return damage.fault
    return row


def _no_more(listing: Listing, trial_id: str, committed: Committed | None) -> None:
    """A file of the trial that it does not know has rows twice."""
    for table in RECORDS:
        known = 1 if committed is None else len(committed.get(table, ()))
        for number in sorted(listing.of_trial(table, trial_id) - set(range(known))):
            with naming(table, trial_id, number):
                raise Damaged("is none of the files that the trial wrote")


def _committed(row: dict[str, Any]) -> Committed | None:
    """What the row of a trial says of its other files; None of one of an earlier version."""
    if row["files"] is None:
        return None
    try:
        files = json.loads(row["files"])
        wanted = () if row["status"] == Status.FAILED and not files else RECORDS
        return {table: [_written(one) for one in (files[table], *files[table].get("more", ()))] for table in wanted}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Damaged("`files` is not what a trial writes") from error


def _written(file: dict[str, Any]) -> dict[str, Any]:
    return {key: file[key] for key in ("bytes", "sha256")}


def _row(data: bytes, trial_id: str, columns: Sequence[str]) -> dict[str, Any]:
    whole = intact(data)
    if whole is False:
        raise Damaged("changed since it was written (its checksum differs)")
    table = parse(data, COLUMNS, columns)
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


def ended(root: Place, trial_id: str) -> Status | None:
    """How a trial ended that this run has started; None if it has not, or left no whole files.

    No table is listed, which takes its time where there are many trials.
    """
    there = storage(root)
    if not there.exists(file_of(TRIALS, trial_id)):
        return None
    row = _trial(there, Listing(), trial_id, NEEDED, all_tables=True)
    return None if isinstance(row, Fault) else Status(row["status"])
