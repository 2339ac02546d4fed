"""Which files there are in the tables, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zfscale.results.layout import ATTEMPTS, LEDGERS, trial_of
from zfscale.results.storage import Directory, Storage


@dataclass
class Listing:
    """Table -> trial -> numbers of its files there; and names that are no trial's."""

    own: dict[str, dict[str, set[int]]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, there: Storage, tables: Sequence[str]) -> Listing:
        """What is in the tables, in this order."""
        listing = cls()
        for table in tables:
            mine = listing.own.setdefault(table, {})
            for name in there.names(table):
                if found := trial_of(name):
                    mine.setdefault(found[0], set()).add(found[1])
                else:
                    listing.ignored.append(name.encode(errors="backslashreplace").decode())  # not all are UTF-8
        return listing

    def of_trial(self, table: str, trial_id: str) -> set[int]:
        """Numbers of a trial's own files in a table."""
        return self.own.get(table, {}).get(trial_id, set())


def begun(there: Storage) -> set[str]:
    """Ids of trials that run or were interrupted: rows of theirs may be in tables though they have not ended.

    A bucket has a ledger only after some time, so there it is every trial that was ever started.
    """
    names = there.names(LEDGERS if isinstance(there, Directory) else ATTEMPTS)
    return {name.rpartition("/")[2] for name in names}
