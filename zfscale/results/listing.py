"""Which files there are in the tables, and whose they are, as if every replacement of files were done at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zfscale.results.layout import ATTEMPTS, LEDGERS, is_pack, trial_of
from zfscale.results.storage import Directory, Storage
from zfscale.results.switch import Switch, pending


@dataclass
class Listing:
    """Files of the tables.

    Args:
        there: The results.
        own: Table -> trial -> numbers of its own files there.
        packs: Table -> names of its files of many trials.
        ignored: Names that are neither.
        switch: The replacement of files that is not finished.
    """

    there: Storage
    own: dict[str, dict[str, set[int]]] = field(default_factory=dict)
    packs: dict[str, list[str]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    switch: Switch = field(default_factory=Switch)

    @classmethod
    def of(cls, there: Storage, tables: Sequence[str]) -> Listing:
        """What is in the tables, in this order; where files are replaced meanwhile, listed again."""
        while (listing := cls._once(there, tables)).switch != pending(there):
            pass
        return listing

    @classmethod
    def _once(cls, there: Storage, tables: Sequence[str]) -> Listing:
        listing = cls(there, switch=pending(there))
        for table in tables:
            mine = listing.own.setdefault(table, {})
            listing.packs[table] = []
            for name in listing.switch.names(there.names(table), table):
                if found := trial_of(name):
                    mine.setdefault(found[0], set()).add(found[1])
                elif is_pack(name):
                    listing.packs[table].append(name)
                else:
                    listing.ignored.append(name.encode(errors="backslashreplace").decode())  # not all are UTF-8
        return listing

    def read(self, name: str) -> bytes | None:
        """The content of a file in the tables; None if there is none."""
        return self.switch.read(self.there, name)

    def of_trial(self, table: str, trial_id: str) -> set[int]:
        """Numbers of a trial's own files in a table."""
        return self.own.get(table, {}).get(trial_id, set())

    def moved(self) -> bool:
        """Whether files have been replaced since: what was listed may not be there any more."""
        now = Listing.of(self.there, list(self.packs))
        return (now.switch, now.packs) != (self.switch, self.packs)


def begun(there: Storage) -> set[str]:
    """Ids of trials that run or were interrupted: rows of theirs may be in tables though they have not ended.

    A bucket has a ledger only after some time, so there it is every trial that was ever started.
    """
    names = there.names(LEDGERS if isinstance(there, Directory) else ATTEMPTS)
    return {name.rpartition("/")[2] for name in names}
