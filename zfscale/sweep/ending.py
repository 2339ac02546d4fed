"""How a sweep stands when its command ends, and the report of one that is complete."""

from __future__ import annotations

import sys
from typing import NamedTuple

from zfscale.records import Status
from zfscale.results.check import Found
from zfscale.results.layout import PAGE
from zfscale.results.missing import check, root, why_over
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
    """

    left: int
    failed: int = 0
    report: str = ""
    trials: int = 0


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
    found = contents(place, every)
    status = {trial.trial_id: trial.status for trial in found.trials}
    failed = sum(status.get(trial.trial_id) is Status.FAILED for trial in sweep.trials)
    text, file = make(place, found)
    if unwanted := sweep.unknown + sum(trial.trial_id not in status for trial in sweep.trials):
        text += f"\n{why_over(sweep, check(sweep))}: {unwanted} of {sweep.size} trials were not run"
    lines = printable(f"{text}\npage: {place}/{PAGE}\nreport: {file}", sys.stdout.encoding)
    return Ended(0, failed, lines, sweep.size)
