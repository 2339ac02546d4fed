"""`zfscale stop`: asks the run that writes to a results directory to end in good order."""

from __future__ import annotations

import time

from zfscale.errors import ZfscaleError
from zfscale.results.forecast import clock
from zfscale.results.layout import STOP
from zfscale.results.lock import holder
from zfscale.results.storage import Place
from zfscale.watch.standing import results_of

PATIENCE = 180.0  # seconds for a run to end; it looks for the request every few
LOOK_EVERY = 0.5


def stop(directory: Place, patience: float = PATIENCE) -> str:
    """Ask the run to end, wait until it has, and say where it ran.

    Raises:
        ZfscaleError: No run writes there, or it has not ended in `patience` seconds.
    """
    there = results_of(directory)
    held = holder(there)
    if held is None:
        raise ZfscaleError(f"{there}: no run writes here, so there is none to stop")
    if not held.alive:
        raise ZfscaleError(f"{there}: no sign of the run on {held.host} for {clock(held.silent)}; it cannot be asked")
    there.write(STOP, held.run.encode())
    deadline = time.monotonic() + patience
    while (now := holder(there)) is not None and now.run == held.run:
        if time.monotonic() > deadline:
            raise ZfscaleError(f"{there}: the run on {held.host} was asked to end, and has not in {clock(patience)}")
        time.sleep(LOOK_EVERY)
    return f"{there}: the run on {held.host} has ended; the same command resumes it"
