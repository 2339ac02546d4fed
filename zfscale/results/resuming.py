"""A stopped trial is taken up again: the ledger of its running is made of its tables, from which it resumes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from typing import Any

import pyarrow as pa

from zfscale.records import Status
from zfscale.results.check import contents, look
from zfscale.results.decisions import resumed
from zfscale.results.layout import LEDGER, STEPS, ledger_of
from zfscale.results.storage import Storage
from zfscale.results.tables import versions
from zfscale.zo.exact import ARITHMETIC
from zfscale.zo.ledger import MAGIC, Entry


def take_up(there: Storage, trials: Collection[str]) -> None:
    """Let those of the trials that were stopped resume where they are, to be stopped no more.

    One with other noise begins again; so does a first-order phase, whose weights are in no table.
    """
    found = look(there, ["versions"], only=trials, all_tables=False).rows
    stopped = [row for row in found if row["status"] == Status.STOPPED]
    if stopped:
        resumed(there, [row["trial_id"] for row in stopped])
    for row in stopped:
        if versions(row["versions"]).get("arithmetic") == str(ARITHMETIC):
            packed = (entry.pack() for _, entry in steps(contents(there, row)))
            there.write(ledger_of(row["trial_id"]), MAGIC + b"".join(packed))


def steps(tables: Mapping[str, pa.Table]) -> Iterator[tuple[dict[str, Any], Entry]]:
    """Each row of `steps`, in the order they were taken, with the entry that the ledger had of it."""
    queries = groupby(tables[LEDGER].to_pylist(), key=lambda q: (q["task"], q["step"]))
    of_step, before = {place: list(group) for place, group in queries}, 0
    for s in tables[STEPS].to_pylist():
        mine = of_step.get((s["task"], s["step"]), [])
        seeds, coefficients = tuple(q["seed"] for q in mine), tuple(q["coefficient"] for q in mine)
        accepted = mine[0]["accepted"] if mine else 1
        yield s, Entry(s["loss"], s["forwards"] - before, s["seconds"], accepted, seeds, coefficients)
        before = s["forwards"]
