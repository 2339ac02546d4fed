"""Replacing files of the tables by others, all of them or none, whenever the process ends.

New files are written to a hidden folder. A journal there says which names they will have and which files go: once it is
written, the switch has happened for all who read through `zfscale.results.listing`, and whoever holds the results next
finishes it. Old files go first, then new ones get their names: so another reader never sees a row twice, but may miss
some for the moment that this takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

from zfscale.errors import ZfscaleError
from zfscale.results.layout import SWITCH
from zfscale.results.patience import patiently
from zfscale.results.storage import Storage

JOURNAL = f"{SWITCH}/journal"


@dataclass(frozen=True)
class Switch:
    """A switch that has happened and may not be finished.

    Args:
        put: Name in the tables -> name of the new file in the hidden folder, as long as it is there.
        gone: Names of files in the tables that are no more, though they may still be there.
    """

    put: Mapping[str, str] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()

    def names(self, there: Sequence[str], table: str) -> list[str]:
        """The names in a table of which these are `there`."""
        new = [name for name in self.put if name.startswith(f"{table}/")]
        return sorted({*there, *new} - self.gone)

    def read(self, there: Storage, name: str) -> bytes | None:
        """The content of a file; None if there is none."""
        if name in self.put and (data := there.read(self.put[name])) is not None:
            return data
        return there.read(name)


def pending(there: Storage) -> Switch:
    """The switch that is to be finished; an empty one if there is none.

    Raises:
        ZfscaleError: Its journal is damaged.
    """
    data = there.read(JOURNAL)
    if data is None:
        return Switch()
    try:
        found = json.loads(data)
        return Switch(dict(found["put"]), frozenset(found["gone"]))
    except (ValueError, LookupError, TypeError) as error:
        remedy = "remove it and run the sweep again: trials whose files are missing are made again"
        raise ZfscaleError(f"{there}/{JOURNAL}: damaged; {remedy}") from error


def hide(there: Storage, data: bytes) -> str:
    """Write a new file to the hidden folder; its name there."""
    name = f"{SWITCH}/{uuid4().hex}"
    patiently(partial(there.write, name, data), f"{there}/{name}")
    return name


def switch(there: Storage, put: Mapping[str, str], gone: Sequence[str]) -> None:
    """Give hidden files their names, and remove others. Errors: StorageError; the switch may then be unfinished."""
    content = json.dumps({"put": dict(put), "gone": sorted(gone)}).encode()
    patiently(partial(there.write, JOURNAL, content), f"{there}/{JOURNAL}")
    settle(there)


def settle(there: Storage) -> None:
    """Finish what a killed process has begun; only for whoever holds the results."""
    found = pending(there)
    for name in sorted(found.gone):
        patiently(partial(there.remove, name), f"{there}/{name}")
    for name, hidden in found.put.items():
        if there.exists(hidden):
            patiently(partial(there.move, hidden, name), f"{there}/{name}")
    for name in (JOURNAL, SWITCH):
        patiently(partial(there.remove, name), f"{there}/{name}")
