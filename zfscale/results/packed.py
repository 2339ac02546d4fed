"""What the files of many trials in the tables hold of each trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from zfscale.results.layout import TRIALS, file_of
from zfscale.results.listing import Listing
from zfscale.results.pack import Pack
from zfscale.results.reading import CHANGED, Damaged, naming, read
from zfscale.results.schema import RECORDS
from zfscale.results.storage import Place, storage


@dataclass
class Survey:
    """The packs of a table.

    Args:
        rows: Trial -> its rows that are whole.
        files: Trial -> a pack that has rows of it, whole or not; one with damaged ones where there is any.
        broken: Packs of which it is not known what they had.
    """

    rows: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, listing: Listing, table: str) -> Survey:
        """Read the packs of a table and compare all checksums."""
        survey, hurt = cls(), dict[str, str]()
        for name, pack in packs(listing, table):
            if pack is None:
                survey.broken.append(name)
                continue
            for group, whole in zip(pack.groups, pack.whole, strict=True):
                survey.rows.update(group.trials if whole else {})
                (survey.files if whole else hurt).update(dict.fromkeys(group.trials, name))
        survey.files |= hurt
        return survey


def packs(listing: Listing, table: str) -> Iterator[tuple[str, Pack | None]]:
    """The packs of a table, one after the other; None for one of which nothing is to be trusted.

    Raises:
        FileNotFoundError: Files have been replaced since they were listed; list them again.
    """
    for name in listing.packs[table]:
        try:
            yield name, Pack.of(read(listing, name))
        except Damaged:
            if listing.read(name) is None and listing.moved():
                raise FileNotFoundError(name) from None
            yield name, None


def rows_of(pack: Pack, trials: Collection[str] | None) -> Iterator[pa.Table]:
    """The whole row groups of a pack, of these trials alone."""
    for number, group in enumerate(pack.groups):
        if trials is None and pack.whole[number]:
            yield pack.read([number])
        elif trials is not None and (mine := group.trials.keys() & set(trials)) and pack.whole[number]:
            rows = pack.read([number])
            yield rows if len(mine) == len(group.trials) else rows.filter(is_of(rows, mine))


def is_of(rows: pa.Table, trials: Collection[str]) -> pa.ChunkedArray:
    """Which rows are of these trials."""
    return pc.is_in(rows["trial_id"], pa.array(sorted(trials), pa.string()))


def rows_of_trial(listing: Listing, table: str, trial_id: str) -> pa.Table:
    """The rows of a trial in the packs of a table. Errors: DamagedFile."""
    found = [RECORDS[table].empty_table()]
    for name, pack in packs(listing, table):
        mine = [] if pack is None else [i for i, group in enumerate(pack.groups) if trial_id in group.trials]
        with naming(name, trial_id):
            if pack and not all(pack.whole[i] for i in mine):
                raise Damaged(CHANGED)
            found += [] if pack is None else [part.select(RECORDS[table].names) for part in rows_of(pack, [trial_id])]
    return pa.concat_tables(found)


def known(root: Place) -> dict[str, float]:
    """Trial id -> when its row was written, in seconds since 1970 (0 where that is not known), if it has one."""
    listing = Listing.of(storage(root), [TRIALS])
    times = listing.there.times(TRIALS)
    found = {trial: times.get(file_of(TRIALS, trial), 0.0) for trial in listing.own[TRIALS]}
    for _, pack in packs(listing, TRIALS):
        if pack is not None:
            found |= {trial: pack.ended.get(trial, 0.0) for group in pack.groups for trial in group.trials}
    return found
