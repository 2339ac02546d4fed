"""Trials whose first steps another one shares: what is known of them, and those steps as a running trial's ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from zfscale.errors import nearest
from zfscale.records import Status
from zfscale.results.attempts import was_halved
from zfscale.results.check import contents, look
from zfscale.results.layout import ledger_of, starts_of
from zfscale.results.reading import DamagedFile
from zfscale.results.resuming import steps
from zfscale.results.storage import Storage, storage
from zfscale.results.tables import versions
from zfscale.spec import TrialSpec
from zfscale.spec.fork import Lookup, Origin, Unforkable
from zfscale.zo.exact import ARITHMETIC
from zfscale.zo.ledger import Entry, entries

NAMED = 20  # trials that are named to the user, if there are no more


def lookup(directory: str, name: str) -> Lookup:
    """How the parents of a sweep's forks are found, which has its own results at `directory`/`name`."""
    return partial(_origin, directory, name)


def _origin(directory: str, name: str, results: str | None, trial: str, step: int) -> Origin:
    """What is known of a parent. Errors: Unforkable."""
    own = storage(directory, name)
    there = own if results is None else storage(results)
    row = _row(there, trial)
    if row is None and (known := _told(own, trial, step)):
        return known
    taken = _steps(there, trial, row)
    if not taken:
        raise Unforkable("trial", f"{trial} took no step that could be shared")
    if len(taken) < step:
        raise Unforkable("step", f"trial {trial} took {len(taken)} steps; allowed: 1 to {len(taken)}")
    places = [(place["task"], bool(entry.seeds)) for place, entry in taken[step - 1 : step + 1]]
    if len(places) > 1 and places[0] == places[1] and not places[0][1]:
        raise Unforkable("step", f"{step} is inside a first-order phase, of which trial {trial} keeps only the end")
    return Origin(row["spec"], places[0][0], str(there))  # type: ignore[index]


class Shared(NamedTuple):
    """What a fork has from the results of its parent.

    Args:
        steps: The first ones, each with its task, as the ledger of the fork has them: they cost it nothing.
        inputs: The content hashes of what the parent has read, as its row has them.
        halved: Whether the parent ran with half its micro-batch, since memory had run out.
    """

    steps: list[tuple[int, Entry]]
    inputs: str | None
    halved: bool


def shared(there: Storage, trial: str, step: int) -> Shared:
    """The first steps of a trial. Errors: Unforkable."""
    row = _row(there, trial)
    taken = [(place["task"], entry) for place, entry in _steps(there, trial, row)[:step]]
    assert row is not None, "else it has no steps"
    return Shared(_free(taken), row["inputs"], row["micro_batch"] is not None)


def shared_so_far(there: Storage, trial: str, step: int) -> Shared:
    """As `shared`, of a forward-only trial that may still run; tasks are not told then. Errors: Unforkable."""
    taken = [(0, entry) for entry in entries(there.read(ledger_of(trial)) or b"")][:step]
    if len(taken) < step:
        return shared(there, trial, step)
    return Shared(_free(taken), None, was_halved(there, trial))


def _free(taken: list[tuple[int, Entry]]) -> list[tuple[int, Entry]]:
    """Steps that cost nothing any more."""
    return [(task, replace(entry, forwards=0, seconds=0.0)) for task, entry in taken]


def _row(there: Storage, trial: str) -> dict[str, Any] | None:
    """The row of a trial in `trials`; None if there is none. Errors: Unforkable if a file of it is damaged."""
    found = look(there, ["versions", "inputs", "micro_batch"], only=[trial])
    if found.faults:
        raise Unforkable("trial", f"{there}/{found.faults[0]}; run its sweep again to make the trial again")
    return found.rows[0] if found.rows else None


def _steps(there: Storage, trial: str, row: dict[str, Any] | None) -> list[tuple[dict[str, Any], Entry]]:
    """All steps of a trial that has ended, however. Errors: Unforkable."""
    if row is None:
        if there.exists(starts_of(trial)):
            raise Unforkable("trial", f"{trial} has not ended in {there}; run its sweep to its end")
        known = [row["trial_id"] for row in look(there, all_tables=False).rows]
        hint = nearest(trial, known) if len(known) <= NAMED else f"{len(known)} others have ended there"
        raise Unforkable("trial", f"no trial {trial} in {there}; {hint if known else 'no trial has ended there'}")
    spec = TrialSpec.from_json(row["spec"])
    if spec.optimizing.first_order:
        raise Unforkable("trial", f"{trial} is of {spec.optimizer.name}, which is first-order: it has no ledger")
    if versions(row["versions"]).get("arithmetic") != str(ARITHMETIC):
        raise Unforkable("trial", f"{trial} is of a version with other noise; run its sweep again")
    if row["status"] == Status.FAILED and not json.loads(row["files"] or "{}"):
        return []
    try:  # one that failed may have no evaluations, as one may that was stopped
        tables = contents(there, row | {"status": Status.STOPPED} if row["status"] == Status.FAILED else row)
    except DamagedFile as error:
        raise Unforkable("trial", f"{there}/{error}; run its sweep again to make the trial again") from error
    return list(steps(tables))


def _told(own: Storage, trial: str, step: int) -> Origin | None:
    """What forks of a parent that is gone tell of it: it does not have to be kept once they have ended."""
    for row in look(own, all_tables=False).rows:
        fork = json.loads(row["spec"]).get("fork")
        if fork is not None and (fork["trial"], fork["step"]) == (trial, step):
            return Origin(json.dumps(fork["spec"], sort_keys=True), fork["tasks"], fork["results"])
    return None
