"""One run at a time writes to a sweep's results: a lock in a directory, a lease in a bucket.

The file `.lock` begins with the run's id, from which a node knows that it sees the same results.
"""

from __future__ import annotations

import _thread
import fcntl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from zfscale.errors import ZfscaleError
from zfscale.storage import Directory, Storage, fsync

LOCK = ".lock"
RENEW = 10.0  # seconds between two signs of life of a lease
PATIENCE = 45.0  # seconds without one until a lease counts as left behind
SETTLE = 2.0  # seconds until one of two that took it at the same time is seen to have won


@contextmanager
def held(results: Storage) -> Iterator[str]:
    """Hold the results; gives the id of this run. ZfscaleError if another run holds them."""
    run = uuid4().hex
    with _locked(results.root, run) if isinstance(results, Directory) else _leased(results, run):
        yield run


def seen(results: Storage, run: str, patience: float = 10.0) -> bool:
    """Whether these are the results that the run holds; a network file system may need a moment to show them."""
    deadline = time.monotonic() + patience
    while not (results.read(LOCK) or b"").startswith(run.encode()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


@contextmanager
def _locked(root: Path, run: str) -> Iterator[None]:
    """The kernel lets go of a directory when the process ends, however it ends."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / LOCK, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _taken(root) from error
        lock.truncate(0)
        lock.write(run)
        lock.flush()
        fsync(root / LOCK)
        yield


@contextmanager
def _leased(results: Storage, run: str) -> Iterator[None]:
    """A bucket has no locks: whoever holds it says so every few seconds. A lease that stays the same is nobody's.

    NOTE: two runs that start within the time an upload takes may both go on. Then trials run twice, with equal tables:
    every file is whole, and the last one written stays.
    """
    if (before := results.read(LOCK)) is not None:
        print(f"{results}: another run may be writing here; waiting {PATIENCE:g} s to see", file=sys.stderr)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            time.sleep(1.0)
            if (now := results.read(LOCK)) not in (before, None):
                raise _taken(results)
            if now is None:
                break
    results.write(LOCK, f"{run} 0".encode())
    time.sleep(SETTLE)
    if not seen(results, run, patience=0):
        raise _taken(results)
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(results, run, done), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        if seen(results, run, patience=0):
            results.remove(LOCK)


def _renew(results: Storage, run: str, done: threading.Event) -> None:
    beats = 0
    while not done.wait(RENEW):
        beats += 1
        try:
            if not (results.read(LOCK) or run.encode()).startswith(run.encode()):
                print(f"{results}: taken over by another run", file=sys.stderr)
                _thread.interrupt_main()
                return
            results.write(LOCK, f"{run} {beats}".encode())
        except OSError as error:
            print(f"{results}: the lease was not renewed: {error}", file=sys.stderr)


def _taken(results: object) -> ZfscaleError:
    return ZfscaleError(f"{results}: another run of this sweep is writing here; wait for it or stop it")
