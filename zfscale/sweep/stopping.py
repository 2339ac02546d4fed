"""Ending a run in good order before all its trials have ended: at a request from elsewhere, or when its time is up."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from zfscale.results.layout import STOP
from zfscale.results.lock import interrupt
from zfscale.results.storage import Storage

LOOK_EVERY = 2.0  # seconds between two looks for a request
AGAIN = 30.0  # seconds after which a run that has not ended is interrupted again


@contextmanager
def stoppable(there: Storage, run: str, hours: float | None = None) -> Iterator[None]:
    """Do as Ctrl-C does inside, once `zfscale stop` has asked this run for it, or after so many hours."""
    over = threading.Event()
    threading.Thread(target=_watch, args=(there, run, hours, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        with suppress(OSError):  # one that stays is for a run that is no more
            there.remove(STOP)


def _watch(there: Storage, run: str, hours: float | None, over: threading.Event) -> None:
    end = None if hours is None else time.monotonic() + 3600 * hours
    while not over.wait(LOOK_EVERY):
        why = None
        if end is not None and time.monotonic() >= end:
            why = f"--max-hours {hours:g}: the time is up"
        elif _asked(there, run):
            why = "asked to stop, by `zfscale stop`"
        if why:
            print(f"{there}: {why}; the run ends", file=sys.stderr)
            interrupt()
            while not over.wait(AGAIN):
                interrupt()


def _asked(there: Storage, run: str) -> bool:
    try:
        return (there.read(STOP) or b"") == run.encode()
    except OSError:  # a bucket that does not answer now
        return False
