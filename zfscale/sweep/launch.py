"""`zfscale run`: sees what is left of a sweep and has it run, here or on the head of a cluster.

Light: Ray is imported only where trials are left, so that a sweep with nothing left to run ends at once.
"""

from __future__ import annotations

import sys

from zfscale.garbage import uncollected
from zfscale.results.check import look
from zfscale.results.missing import Retry, left_of, root, unmatched, unproposed
from zfscale.results.proposals import known
from zfscale.results.schema import TAIL
from zfscale.spec import Sweep
from zfscale.sweep.ending import Ended, finish
from zfscale.sweep.environment import CLIENT, LOCAL, as_ctrl_c, environment


def run(
    sweep: Sweep,
    *,
    retry_failed: Retry = False,
    address: str = LOCAL,
    continue_stopped: bool = False,
    max_hours: float | None = None,
) -> Ended:
    """Run what is left of a sweep, for so many hours at most.

    `address` is Ray's: "local" starts a cluster on this machine; "auto" and "HOST:PORT" join one that runs; with
    "ray://HOST:PORT" the sweep is run on that cluster's head, and only watched from here.
    """
    if not address.startswith(CLIENT):
        sweep = known(sweep)
        every = look(root(sweep), TAIL.names)  # what a report needs, too
        found = every.of({trial.trial_id for trial in sweep.trials})
        if note := unmatched(found, retry_failed):
            print(note, file=sys.stderr)
        if not left_of(sweep, found, retry_failed, continue_stopped) and not unproposed(sweep):
            return finish(sweep, every)
    with environment(address), as_ctrl_c():
        if address.startswith(CLIENT):
            from zfscale.sweep.remote_driver import run as run_there

            return run_there(
                sweep,
                retry_failed=retry_failed,
                address=address,
                continue_stopped=continue_stopped,
                max_hours=max_hours,
            )
        with uncollected():  # what is imported stays
            from zfscale.sweep.driver import run as run_here
            from zfscale.sweep.wandb_process import wandb_process

        with wandb_process(sweep) as process:
            left = run_here(
                sweep,
                retry_failed=retry_failed,
                address=address,
                continue_stopped=continue_stopped,
                max_hours=max_hours,
                listeners=[process],
            )
            if count := len(left) + unproposed(sweep):
                return Ended(count, trials=known(sweep).size)
            ended, process.complete = finish(sweep), True
            return ended
