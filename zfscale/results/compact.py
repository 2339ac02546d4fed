"""Merging the files of trials that have ended into files of many trials, and taking trials out of them again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from zfscale.results.check import look
from zfscale.results.layout import ATTEMPTS, DAMAGED, TABLES, TRIALS, file_of, pack_of, starts_of
from zfscale.results.listing import Listing
from zfscale.results.pack import Pack, Part, packed, piled
from zfscale.results.packed import is_of, known, packs
from zfscale.results.patience import patiently
from zfscale.results.reading import Damaged, read
from zfscale.results.schema import RECORDS
from zfscale.results.storage import Storage
from zfscale.results.switch import hide, settle, switch

SMALL = 16 * 2**20  # bytes of a pack that is merged again
ROWS = {TRIALS: 256, **dict.fromkeys(RECORDS, 65_536)}  # of a row group: what one damaged byte costs
MANY = 500  # trials with files of their own from which on the end of a run merges them


class Compacted(NamedTuple):
    """How many trials were merged, and how many files the tables have, before and after."""

    trials: int
    before: int
    after: int

    def __str__(self) -> str:
        return f"merged the files of {self.trials} trials: the tables have {self.after} files, and had {self.before}"


def pays(there: Storage) -> bool:
    """Whether so many trials have files of their own that merging them is worth its time."""
    return len(Listing.of(there, [TRIALS]).own[TRIALS]) >= MANY


def compact(there: Storage) -> Compacted:
    """Merge the files of all trials that have ended and are whole; only for whoever holds the results.

    Rows of earlier versions, which know no checksums, and damaged ones stay as they are.
    """
    settle(there)
    whole = {row["trial_id"] for row in look(there).rows if row["files"] is not None}
    listing, put, gone = Listing.of(there, TABLES), dict[str, str](), list[str]()
    before = _count(there)
    trials = sorted(whole & listing.own[TRIALS].keys())
    for table in TABLES:
        small = _small(listing, table)
        if not trials and len(small) < 2:
            continue
        for data in piled(_parts(listing, table, trials, small), ROWS[table]):
            put[pack_of(table, uuid4().hex[:12])] = hide(there, data)
        gone += [file_of(table, i, number) for i in trials for number in listing.of_trial(table, i)]
        gone += small
    if gone:
        switch(there, put, gone)
    merged = known(there).keys() - Listing.of(there, [TRIALS]).own[TRIALS].keys()
    for name in there.names(ATTEMPTS):  # the row says how often a trial was started
        if name.rpartition("/")[2] in merged:
            there.remove(name)
    return Compacted(len(trials), before, _count(there))


def drop(there: Storage, trials: Collection[str]) -> None:
    """Remove all rows of trials, and what is damaged of the packs that had any; only for whoever holds the results."""
    settle(there)
    listing, put, gone = Listing.of(there, TABLES), dict[str, str](), list[str]()
    for table in TABLES:
        gone += [file_of(table, i, number) for i in trials for number in listing.of_trial(table, i)]
        for name, pack in packs(listing, table):
            if pack is not None and not any(group.trials.keys() & set(trials) for group in pack.groups):
                continue
            if pack is None or not all(pack.whole):
                _set_aside(there, listing, name)
            if pack is not None and (data := _without(pack, trials)):
                put[name] = hide(there, data)
            else:
                gone.append(name)
    if put or gone:
        switch(there, put, gone)


def restart(there: Storage, starts: Mapping[str, bytes]) -> None:
    """Keep how trials were started that are to be started again (`attempts.starts`), where only their rows say so."""
    for trial_id, kept in starts.items():
        name = starts_of(trial_id)
        if not there.exists(name):
            patiently(partial(there.write, name, kept), f"{there}/{name}")


def _count(there: Storage) -> int:
    return sum(len(there.names(table)) for table in TABLES)


def _small(listing: Listing, table: str) -> list[str]:
    """Packs that are worth merging again, and whole."""
    found = [(name, pack) for name, pack in packs(listing, table) if pack is not None and len(pack.data) < SMALL]
    return [name for name, pack in found if all(pack.whole)]


def _parts(listing: Listing, table: str, trials: Iterable[str], small: Collection[str]) -> Iterator[Part]:
    """The rows to be merged: trial by trial, then pack by pack."""
    times = listing.there.times(TRIALS) if table == TRIALS else {}
    for trial_id in trials:
        for number in sorted(listing.of_trial(table, trial_id)):
            name = file_of(table, trial_id, number)
            rows = pq.ParquetFile(pa.BufferReader(read(listing, name)), page_checksum_verification=True)
            yield rows.read(use_threads=False), {trial_id: times[name]} if name in times else {}
    for name in small:
        pack = Pack.of(read(listing, name))
        for number, group in enumerate(pack.groups):
            yield pack.read([number]), {i: pack.ended[i] for i in group.trials if i in pack.ended}


def _set_aside(there: Storage, listing: Listing, name: str) -> None:
    """Keep a copy of a damaged pack, if it can be read at all: it may have trials that nobody will make again."""
    with suppress(Damaged):
        data, kept = read(listing, name), f"{DAMAGED}/{name.replace('/', '.')}"
        patiently(partial(there.write, kept, data), f"{there}/{kept}")


def _without(pack: Pack, trials: Collection[str]) -> bytes | None:
    """What is whole of a pack, without these trials; None if it is nothing."""
    kept: list[Part] = []
    for number, group in enumerate(pack.groups):
        rest = group.trials.keys() - set(trials)
        if rest and pack.whole[number]:
            rows = pack.read([number])
            kept.append((rows.filter(is_of(rows, rest)), {i: pack.ended[i] for i in rest if i in pack.ended}))
    if not kept:
        return None
    return packed(pa.unify_schemas([rows.schema for rows, _ in kept], promote_options="permissive"), kept)
