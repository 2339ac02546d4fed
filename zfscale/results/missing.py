"""Which trials of a sweep are still to be run. Light: it must answer at once when nothing is.

A trial with a damaged file is to be run, too: making it again heals it.
"""

from __future__ import annotations

from typing import TypeAlias

from zfscale.records import Status
from zfscale.results.causes import causes, matches
from zfscale.results.check import Found, look
from zfscale.results.proposals import known
from zfscale.results.storage import Storage, storage
from zfscale.spec import Sweep, TrialSpec
from zfscale.spec.spending import taken

SPENT = ("seconds", "forwards")  # columns of `trials`, which a budget is of
Retry: TypeAlias = "bool | str"  # whether trials that failed are run again: none, all, or those of a cause


def root(sweep: Sweep) -> Storage:
    """Where the sweep's tables are."""
    return storage(sweep.spec.output.dir, sweep.spec.name)


def missing(sweep: Sweep, retry_failed: Retry = False, continue_stopped: bool = False) -> list[TrialSpec]:
    """The trials of the file that have no result yet; with `retry_failed`, those that failed as well.

    With `continue_stopped`, those too that a scheduler has stopped. None are where one has reached `search.until`.
    """
    return left_of(sweep, check(sweep, retry_failed), retry_failed, continue_stopped)


def check(sweep: Sweep, retry_failed: Retry = False) -> Found:
    """What the results hold of the trials of the file."""
    errors = ["error"] if isinstance(retry_failed, str) else []
    wanted = [
        *sweep.spec.search.until,
        *errors,
        *(SPENT if sweep.spec.search.limited else ()),
        "attempts",
        "micro_batch",
        "inputs",
    ]
    return look(root(sweep), wanted, only={t.trial_id for t in sweep.trials})


def left_of(sweep: Sweep, found: Found, retry_failed: Retry = False, continue_stopped: bool = False) -> list[TrialSpec]:
    """As `missing`, of what `check` has found."""
    if over(sweep, found):
        return []
    again = _again(found, retry_failed)
    if continue_stopped:
        again |= {row["trial_id"] for row in found.rows if row["status"] == Status.STOPPED}
    done = {row["trial_id"] for row in found.rows} - again
    return [t for t in sweep.trials if t.trial_id not in done]


def over(sweep: Sweep, found: Found) -> bool:
    """Whether one of the trials has reached `search.until`, or all of them together have spent the budget."""
    return bool(why_over(sweep, found))


def why_over(sweep: Sweep, found: Found) -> str:
    """Why no other trial is to start; "" where all are to be run."""
    search = sweep.spec.search
    if any(row["status"] == Status.FINISHED and search.reached(row) for row in found.rows):
        return "search.until is reached"
    spent = search.budget.spent(taken(found.rows)) if search.budget and search.limited else []
    return f"search.budget is spent ({', '.join(spent)})" if spent else ""


def unproposed(sweep: Sweep) -> int:
    """How many trials a searcher may propose yet, at most; 0 where no more are wanted."""
    sweep = known(sweep)
    return sweep.unknown if sweep.unknown and not over(sweep, check(sweep)) else 0


def unmatched(found: Found, retry_failed: Retry) -> str:
    """What to say where trials failed, and none for the cause that is to be retried; else nothing."""
    failed = [(row["trial_id"], row.get("error")) for row in found.rows if row["status"] == Status.FAILED]
    if not failed or not isinstance(retry_failed, str) or _again(found, retry_failed):
        return ""
    known = "; ".join(f"{each.name} ({len(each.trials)})" for each in causes(failed))
    return f"--retry-failed={retry_failed}: no trial failed for this; causes: {known}"


def _again(found: Found, retry_failed: Retry) -> set[str]:
    """Ids of the trials that failed and are to be run again."""
    if retry_failed is False:
        return set()
    failed = [row for row in found.rows if row["status"] == Status.FAILED]
    return {row["trial_id"] for row in failed if retry_failed is True or matches(row["error"], retry_failed)}
