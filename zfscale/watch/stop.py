"""`zfscale stop`: asks the run that writes to a results directory, or one of its trials, to end in good order."""

from __future__ import annotations

import time

from zfscale.errors import ZfscaleError
from zfscale.results.check import ended
from zfscale.results.forecast import clock
from zfscale.results.layout import STOP, stop_of
from zfscale.results.lock import Holder, holder
from zfscale.results.storage import Place, Storage
from zfscale.watch.standing import one, results_of, standing

PATIENCE = 180.0  # seconds for a run to end; it looks for the request every few
LOOK_EVERY = 0.5


def stop(directory: Place, patience: float = PATIENCE) -> str:
    """Ask the run to end, wait until it has, and say where it ran.

    Raises:
        ZfscaleError: No run writes there, or it has not ended in `patience` seconds.
    """
    there = results_of(directory)
    held = _run(there)
    there.write(STOP, held.run.encode())
    deadline = time.monotonic() + patience
    while (now := holder(there)) is not None and now.run == held.run:
        if time.monotonic() > deadline:
            raise ZfscaleError(f"{there}: the run on {held.host} was asked to end, and has not in {clock(patience)}")
        time.sleep(LOOK_EVERY)
    return f"{there}: the run on {held.host} has ended; the same command resumes it"


def stop_trial(directory: Place, trial: str, patience: float = PATIENCE) -> str:
    """Ask a trial that runs to end after the stage that it is at, wait for a while, and say how it stands.

    A trial is looked for by its id, or by the beginning of one.

    Raises:
        ZfscaleError: No run writes there, or the trial does not run.
    """
    there = results_of(directory)
    held = _run(there)
    trial_id = one(there, trial)
    now = standing(there, only=[trial_id])
    if trial_id not in {word.trial_id for word in now.running}:
        how = now.rows[0]["status"] if now.rows else "not started"
        raise ZfscaleError(f"{trial_id}: does not run ({how}), so it cannot be stopped")
    there.write(stop_of(trial_id), b"")
    deadline = time.monotonic() + patience
    while (status := ended(there, trial_id)) is None:
        if (now_held := holder(there)) is None or now_held.run != held.run:
            raise ZfscaleError(f"{trial_id}: the run has ended before the trial's stage; the same command resumes both")
        if time.monotonic() > deadline:
            return f"{trial_id}: will be stopped once the stage that it is at has ended"
        time.sleep(LOOK_EVERY)
    there.remove(stop_of(trial_id))
    return f"{trial_id}: {status.value}; `zfscale run FILE --continue-stopped` would take a stopped one up again"


def _run(there: Storage) -> Holder:
    """The run that writes there. Errors: ZfscaleError, if there is none, or none that can be asked."""
    held = holder(there)
    if held is None:
        raise ZfscaleError(f"{there}: no run writes here, so there is none to stop")
    if not held.alive:
        raise ZfscaleError(f"{there}: no sign of the run on {held.host} for {clock(held.silent)}; it cannot be asked")
    return held
