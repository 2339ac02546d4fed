"""What a results directory holds: whole trials, damaged ones, and files that are not tables of ours.

A trial is whole if its row in `trials` is, and the row's column `files` says how many bytes with which checksum its
files in the other tables have. Those of a trial that runs or was interrupted are there without a row.
Rows of earlier versions have no such column: their tables are checked by their content. A failed trial has either all
tables or, as those of earlier versions and of workers that told nothing, none.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa

from zfscale.records import Status
from zfscale.results.layout import EVALS, LEDGER, STEPS, TRIALS, file_of, is_pack
from zfscale.results.listing import Listing, begun
from zfscale.results.packed import Survey, packs, rows_of_trial
from zfscale.results.reading import CHANGED, Damaged, DamagedFile, Fault, compare, each, naming, parse, read
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

    def of(self, trials: Collection[str]) -> Found:
        """The same of these trials alone."""
        mine = [fault for fault in self.faults if fault.trial_id in trials]
        return Found([row for row in self.rows if row["trial_id"] in trials], mine, self.ignored)


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
    while True:
        try:
            return _look(storage(root), columns, only, all_tables)
        except FileNotFoundError:  # files have been replaced since they were listed
            continue


def _look(there: Storage, columns: Sequence[str], only: Collection[str] | None, all_tables: bool) -> Found:
    going = begun(there) if all_tables else set()  # before the rows: a trial may end meanwhile
    listing = Listing.of(there, (EVALS, STEPS, LEDGER, TRIALS))
    surveys = {table: Survey.of(listing, table) for table in RECORDS} if all_tables else {}
    found, wanted = Found(ignored=listing.ignored), [*dict.fromkeys([*NEEDED, *columns])]
    mine = sorted(i for i in listing.own[TRIALS] if only is None or i in only)
    own = each(there, mine, lambda trial_id: _trial(listing, surveys, trial_id, wanted))
    for row in [*own, *_packed(listing, surveys, only, wanted)]:
        if isinstance(row, Fault):
            found.faults.append(row)
        else:
            found.rows.append(row)
    if all_tables:
        ended = {*listing.own[TRIALS], *(row["trial_id"] for row in found.rows), *found.damaged}
        found.faults += _orphans(listing, surveys, ended | going, only)
    if found.faults and listing.moved():
        raise FileNotFoundError(str(there))
    found.rows.sort(key=lambda row: str(row["trial_id"]))
    return found


def _packed(
    listing: Listing, surveys: Mapping[str, Survey], only: Collection[str] | None, columns: Sequence[str]
) -> Iterator[dict[str, Any] | Fault]:
    """The rows of trials that are in files of many."""
    wanted = None if only is None else set(only)
    for name, pack in packs(listing, TRIALS):
        for number, group in enumerate(() if pack is None else pack.groups):
            mine = set(group.trials) if wanted is None else wanted & group.trials.keys()
            if not mine:
                continue
            if pack is None or not pack.whole[number]:
                yield from (Fault(trial_id, name, CHANGED) for trial_id in sorted(mine))
                continue
            for row in pack.read([number], columns).to_pylist():
                if row["trial_id"] in listing.own[TRIALS]:
                    yield Fault(
                        row["trial_id"], name, f"has a row that is in {file_of(TRIALS, row['trial_id'])} as well"
                    )
                elif row["trial_id"] in mine:
                    yield _checked(listing, surveys, {column: row.get(column) for column in columns}, name)


def _orphans(
    listing: Listing, surveys: Mapping[str, Survey], ended: Collection[str], only: Collection[str] | None
) -> Iterator[Fault]:
    """Faults of trials that have rows, but none in `trials`; and files of which it is not known whose they were."""
    broken = [name for name, pack in packs(listing, TRIALS) if pack is None]
    told: set[str] = set()
    for table in RECORDS:
        files = {i: file_of(table, i, min(numbers)) for i, numbers in listing.own[table].items()}
        files |= {i: name for i, name in surveys[table].files.items() if i not in files}
        for i in sorted(files.keys() - set(ended)):
            if (only is None or i in only) and i not in told:
                told.add(i)
                why = f"missing, though {files[i]} is there" if not broken else CHANGED
                yield Fault(i, broken[0] if broken else file_of(TRIALS, i), why)
    if broken and not told:
        yield Fault("-", broken[0], CHANGED)


def first(lines: Sequence[str]) -> list[str]:
    """The first few lines, and how many more there are.

    >>> first([str(i) for i in range(12)])[-2:]
    ['9', 'and 2 more']
    """
    rest = len(lines) - LISTED
    return [*lines[:LISTED], *([f"and {rest} more"] if rest > 0 else [])]


def contents(there: Storage, row: dict[str, Any], listing: Listing | None = None) -> dict[str, pa.Table]:
    """The tables of a trial that has not failed, given its row in `trials`, checked by their content too.

    Raises:
        DamagedFile: One of them is not what the trial wrote.
    """
    listing = listing or Listing.of(there, (*RECORDS,))
    found, committed = {}, _committed(row)
    for table in RECORDS:
        found[table] = pa.concat_tables(_files(listing, table, row["trial_id"], committed))
        with naming(file_of(table, row["trial_id"]), row["trial_id"]):
            problem = problem_of(table, found[table], row)
            if table == LEDGER and not problem:
                problem = ledger_problem(found[LEDGER], found[STEPS], TrialSpec.from_json(row["spec"]))
            if problem:
                raise Damaged(problem)
    return found


def _files(listing: Listing, table: str, trial_id: str, committed: Committed | None) -> Iterator[pa.Table]:
    """The content of each file of a trial in a table."""
    if listing.packs[table] and not listing.of_trial(table, trial_id):
        rows = rows_of_trial(listing, table, trial_id)
        if rows.num_rows or committed is None or not any(file["rows"] for file in committed[table]):
            yield rows
            return
    for number, file in enumerate([None] if committed is None else committed[table]):
        name = file_of(table, trial_id, number)
        with naming(name, trial_id):
            data = read(listing, name)
            if file is not None:
                compare(data, file)
            yield parse(data, RECORDS[table], RECORDS[table].names)


def _trial(
    listing: Listing, surveys: Mapping[str, Survey], trial_id: str, columns: Sequence[str]
) -> dict[str, Any] | Fault:
    """The row of a trial that has files of its own, if it is whole."""
    name = file_of(TRIALS, trial_id)
    try:
        with naming(name, trial_id):
            row = _row(read(listing, name), trial_id, columns)
    except DamagedFile as damage:
        return damage.fault
    return _checked(listing, surveys, row, name)


def _checked(listing: Listing, surveys: Mapping[str, Survey], row: dict[str, Any], name: str) -> dict[str, Any] | Fault:
    """The row, if the trial's other tables, those that there are surveys of, are whole as well."""
    trial_id = row["trial_id"]
    try:
        with naming(name, trial_id):
            committed = _committed(row)
        if surveys and committed is None and row["status"] != Status.FAILED:
            contents(listing.there, row, listing)
        for table, survey in surveys.items():
            _compare(listing, survey, table, trial_id, (committed or {}).get(table, []), is_pack(name))
            _no_more(listing, table, trial_id, 1 if committed is None else len(committed.get(table, ())))
    except DamagedFile as damage:
        return damage.fault
    return row


def _compare(
    listing: Listing, survey: Survey, table: str, trial_id: str, files: Sequence[dict[str, Any]], packed: bool
) -> None:
    """Whether what is in a table is what the trial wrote there. Errors: DamagedFile."""
    own, pack = listing.of_trial(table, trial_id), survey.files.get(trial_id)
    first = file_of(table, trial_id, min(own, default=0))
    if own and (packed or pack):
        raise DamagedFile(Fault(trial_id, first, f"holds rows that are in {pack or 'a file of many trials'} as well"))
    if packed:
        if survey.rows[trial_id] != sum(file["rows"] for file in files):
            problem = CHANGED if pack or survey.broken else "missing"
            raise DamagedFile(Fault(trial_id, pack or next(iter(survey.broken), first), problem))
        return
    for number, file in enumerate(files):
        name = file_of(table, trial_id, number)
        with naming(name, trial_id):
            compare(read(listing, name), file)


def _no_more(listing: Listing, table: str, trial_id: str, known: int) -> None:
    """A file of the trial that it does not know has rows twice."""
    for number in sorted(listing.of_trial(table, trial_id) - set(range(known))):
        with naming(file_of(table, trial_id, number), trial_id):
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
    return {key: file[key] for key in ("rows", "bytes", "sha256")}


def _row(data: bytes, trial_id: str, columns: Sequence[str]) -> dict[str, Any]:
    whole = intact(data)
    if whole is False:
        raise Damaged(CHANGED)
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
    row = _trial(Listing(there), {table: Survey() for table in RECORDS}, trial_id, NEEDED)
    return None if isinstance(row, Fault) else Status(row["status"])
