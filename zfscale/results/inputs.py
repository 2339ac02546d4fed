"""Whether a run that adds to results reads the same as the trials that are in them: one table, one set of inputs.

The column `inputs` of `trials` has the content hashes of what a trial has read. Rows of earlier versions have none, and
nothing is said of them. Of trials that were interrupted the plan of the run that began them has the hashes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence

from zfscale.errors import ZfscaleError
from zfscale.records import Status
from zfscale.results.check import Found
from zfscale.results.listing import begun
from zfscale.results.plan import read
from zfscale.results.storage import Storage
from zfscale.spec import TrialSpec

Prints = dict[str, str]  # part of what is read -> SHA-256
Known = dict[str, Prints]  # a model, dataset or module, by its key -> its parts
SCHEME = ("scheme", "1")  # how hashes are made: those of another number cannot be compared
NAMED = 3  # trials that a message names
SHOWN = 12  # digits of a hash that it shows


class OtherInputs(ZfscaleError):
    """Results were made of other inputs than those that are there now."""


def as_json(keys: Sequence[str], known: Mapping[str, Prints]) -> str:
    """The column `inputs` of a trial that reads what the keys stand for."""
    return json.dumps({SCHEME[0]: SCHEME[1]} | {part: sha for key in keys for part, sha in known.get(key, {}).items()})


def from_json(text: str | None) -> Prints:
    """What a column `inputs` says; empty for a row of a version that had none, or other hashes.

    >>> from_json('{"scheme": "1", "base weights": "1f"}'), from_json('{"base weights": "1f"}'), from_json(None)
    ({'base weights': '1f'}, {}, {})
    """
    try:
        found = json.loads(text or "{}")
        scheme = found.pop(SCHEME[0], None)
        return {str(part): str(sha) for part, sha in found.items()} if scheme == SCHEME[1] else {}
    except (ValueError, AttributeError):
        return {}


def agree(
    there: Storage,
    found: Found,
    trials: Sequence[TrialSpec],
    todo: Collection[str],
    known: Known,
    keys_of: Callable[[TrialSpec], list[str]],
) -> None:
    """See that what stays in the results, or is resumed, has read what a run reads now.

    Args:
        there: The results.
        found: What is in them, with the column `inputs`.
        trials: Those of the sweep.
        todo: Ids of those that are to be run.
        known: What the run has read.
        keys_of: Where a trial's parts are in `known`.

    Raises:
        OtherInputs: Something has changed, with what, in which trials, and what to do.
    """
    specs = {trial.trial_id: trial for trial in trials}
    then = {
        row["trial_id"]: from_json(row["inputs"])
        for row in found.rows
        if row["status"] != Status.FAILED and (row["trial_id"] not in todo or row["status"] == Status.STOPPED)
    }
    if plan := read(there):
        for trial_id in begun(there) & specs.keys() & set(todo):
            then.setdefault(trial_id, from_json(as_json(keys_of(specs[trial_id]), plan.inputs)))
    changed: dict[tuple[str, str, str], list[str]] = {}
    for trial_id in sorted(then.keys() & specs.keys()):
        now = from_json(as_json(keys_of(specs[trial_id]), known)) if then[trial_id] else {}
        for part in now.keys() & then[trial_id].keys():
            if now[part] != then[trial_id][part]:
                changed.setdefault((part, then[trial_id][part], now[part]), []).append(trial_id)
    if changed:
        raise OtherInputs(_told(there, changed))


def _told(there: Storage, changed: Mapping[tuple[str, str, str], list[str]]) -> str:
    lines = []
    for (part, old, new), trials in sorted(changed.items()):
        more = f" and {len(trials) - NAMED} more" if len(trials) > NAMED else ""
        of = f"trial{'s' * (len(trials) > 1)} {', '.join(trials[:NAMED])}{more}"
        lines.append(f"{there}: {part} changed since {of}: {old[:SHOWN]} then, {new[:SHOWN]} now (SHA-256)")
    remedy = "put back what they were made of, or give the sweep another name or output.dir to begin anew"
    return "\n".join([*lines, f"nothing was started, since one table would mix both: {remedy}"])
