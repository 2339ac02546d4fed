"""How a sweep stands when its command ends, and the report of one that is complete."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import NamedTuple

from zfscale.records import Status
from zfscale.results.check import Found
from zfscale.results.layout import PAGE
from zfscale.results.missing import check, root, why_over
from zfscale.results.plan import end, not_run
from zfscale.results.proposals import known
from zfscale.results.tuned import note
from zfscale.spec import Sweep
from zfscale.spec.tuned import entry_of


class Ended(NamedTuple):
    """How a sweep stands when the command ends.

    Args:
        left: Trials without a result: the run was interrupted, or could not write.
        failed: Trials recorded as failed, by this run or an earlier one.
        report: The report as text; empty if trials are left.
        trials: How many there are, with those that runs have added; 0 where that is what the file says.
        stopped: Trials that a scheduler, a user or the end of a sweep that had reached its aim has stopped.
        over: Why no other trial starts, where that is so.
    """

    left: int
    failed: int = 0
    report: str = ""
    trials: int = 0
    stopped: int = 0
    over: str = ""


def finish(sweep: Sweep, every: Found | None = None) -> Ended:
    """Write the report of a sweep that is to have no more results: its table and where it is.

    `every` is what a look at the results has found, with all columns of theirs, if there was one.
    """
    from zfscale.report import make
    from zfscale.report.load import contents
    from zfscale.report.text import printable

    place, sweep = root(sweep), known(sweep)
    tuned = sweep.spec.tuned
    chosen = {trial.trial_id: entry_of(tuned, trial) for trial in sweep.trials}
    # An entry has no values where a `--set` took all of them away.
    note(place, {trial: tuned[i].forwards for trial, i in chosen.items() if i is not None and tuned[i].values})
    found, search = contents(place, every), sweep.spec.search
    over = why_over(sweep, check(sweep)) if search.until or search.limited else ""
    status = {trial.trial_id: trial.status for trial in found.trials}
    failed = sum(status.get(trial.trial_id) is Status.FAILED for trial in sweep.trials)
    ended = status.keys() | {fault.trial_id for fault in found.faults}
    unwanted = sweep.unknown + sum(trial.trial_id not in ended for trial in sweep.trials)
    end(place, sweep.trials, sweep.unknown, over)
    told = not_run(over, unwanted, sweep.size)
    text, file = make(place, replace(found, unwanted=[told] if told else []))
    lines = printable(f"{text}\npage: {place}/{PAGE}\nreport: {file}", sys.stdout.encoding)
    grows = search.scheduler.takes_over  # there a trial that was stopped goes on as another
    stopped = 0 if grows else sum(status.get(trial.trial_id) is Status.STOPPED for trial in sweep.trials)
    return Ended(0, failed, lines, sweep.size, stopped, over)
