"""Which trials of a sweep are still to be run. Light: it must answer at once when nothing is.

A trial with a damaged file is to be run, too: making it again heals it.
"""

from __future__ import annotations

from zfscale.records import Status
from zfscale.results.check import Found, look
from zfscale.results.storage import Storage, storage
from zfscale.spec import Sweep, TrialSpec


def root(sweep: Sweep) -> Storage:
    """Where the sweep's tables are."""
    return storage(sweep.spec.output.dir, sweep.spec.name)


def missing(sweep: Sweep, retry_failed: bool = False, continue_stopped: bool = False) -> list[TrialSpec]:
    """The trials of the file that have no result yet; with `retry_failed`, those that failed as well.

    With `continue_stopped`, those too that a scheduler has stopped. None are where one has reached `search.until`.
    """
    return left_of(sweep, check(sweep), retry_failed, continue_stopped)


def check(sweep: Sweep) -> Found:
    """What the results hold of the trials of the file."""
    return look(root(sweep), tuple(sweep.spec.search.until), only={t.trial_id for t in sweep.trials})


def left_of(sweep: Sweep, found: Found, retry_failed: bool = False, continue_stopped: bool = False) -> list[TrialSpec]:
    """As `missing`, of what `check` has found."""
    if over(sweep, found):
        return []
    status = {row["trial_id"]: row["status"] for row in found.rows}
    again = {Status.FAILED: retry_failed, Status.STOPPED: continue_stopped}
    done = {one for one in Status if not again.get(one)}
    return [t for t in sweep.trials if status.get(t.trial_id) not in done]


def over(sweep: Sweep, found: Found) -> bool:
    """Whether one of the trials has reached `search.until`."""
    return any(row["status"] == Status.FINISHED and sweep.spec.search.reached(row) for row in found.rows)
