"""Which trials of a sweep are still to be run. Light: it must answer at once when nothing is."""

from __future__ import annotations

from zfscale.sinks.read import statuses
from zfscale.spec import Sweep, TrialSpec
from zfscale.storage import Storage, storage


def root(sweep: Sweep) -> Storage:
    """Where the sweep's tables are."""
    return storage(sweep.spec.output.dir, sweep.spec.name)


def missing(sweep: Sweep, retry_failed: bool = False) -> list[TrialSpec]:
    """The trials of the file that have no result yet; with `retry_failed`, those that failed as well."""
    status = statuses(root(sweep))
    done = {"finished"} if retry_failed else {"finished", "failed"}
    return [t for t in sweep.trials if status.get(t.trial_id) not in done]
