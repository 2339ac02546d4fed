"""One run at a time writes to a sweep's results: a lock in a directory, a lease in a bucket.

The lock file says "RUN HOST BEAT": from the run's id a node knows that it sees the same results, and while the beat
changes the run lives.
"""

from __future__ import annotations

import _thread
import errno
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple
from uuid import uuid4

from zfscale.errors import ZfscaleError, one_line
from zfscale.results.directory import fsync
from zfscale.results.layout import LOCK
from zfscale.results.patience import told
from zfscale.results.storage import Directory, Storage

HOST = socket.gethostname().encode()
RENEW = 10.0  # seconds between two signs of life of a lease
PATIENCE = 45.0  # seconds without one until a lease counts as left behind
SETTLE = 2.0  # seconds until one of two that took it at the same time is seen to have won


@contextmanager
def held(results: Storage) -> Iterator[str]:
    """Hold the results; gives the id of this run. ZfscaleError if another run holds them."""
    run = uuid4().hex
    with _locked(results, run) if isinstance(results, Directory) else _leased(results, run):
        yield run


def seen(results: Storage, run: str, patience: float = 10.0) -> bool:
    """Whether these are the results that the run holds; a network file system may need a moment to show them."""
    deadline = time.monotonic() + patience
    while not (results.read(LOCK) or b"").startswith(run.encode()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


class Holder(NamedTuple):
    """The run that holds the results, on which machine, and how many seconds ago it gave a sign of life, if known."""

    run: str
    host: str
    silent: float

    @property
    def alive(self) -> bool:
        """Whether the run goes on, as far as can be seen from any machine."""
        return self.silent < PATIENCE


def holder(results: Storage) -> Holder | None:
    """Who holds the results, looked at from outside; None if nobody does, or has since an orderly end."""
    content = results.read(LOCK) or b""
    if not _host(content):
        return None
    run, host, _ = content.decode(errors="replace").split()
    now = time.time()
    return Holder(run, host, max(now - results.times("").get(LOCK, now), 0.0))


@contextmanager
def _locked(results: Directory, run: str) -> Iterator[None]:
    """The kernel lets go of a directory when the process ends, however it ends.

    Some network file systems lock within one machine only, and some keep a dead machine's lock for a while. So the
    holder gives signs of life as well, and one of another machine that still does keeps the directory.
    """
    with told(str(results)):
        results.root.mkdir(parents=True, exist_ok=True)
    with told(f"{results}/{LOCK}"):  # a link is refused: what it leads to would be overwritten
        handle = os.open(results.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with os.fdopen(handle, "r+b", buffering=0) as lock:
        before = results.read(LOCK) or b""
        alone, elsewhere = _flock(lock), _host(before) not in (b"", HOST)
        if not alone and not elsewhere:
            raise _taken(results)
        if elsewhere:
            _outwait(results, before)
            if not alone and not _flock(lock):
                raise _taken(results)

        def beat(number: int) -> None:
            """In place and of one length: never empty, and the file stays the one that is locked."""
            os.ftruncate(lock.fileno(), os.pwrite(lock.fileno(), b"%s %s %08d" % (run.encode(), HOST, number), 0))

        beat(0)
        fsync(results.root / LOCK)
        try:
            with _renewed(results, run, beat):
                yield
        finally:
            if seen(results, run, patience=0):
                os.ftruncate(lock.fileno(), 0)  # nobody's


@contextmanager
def _leased(results: Storage, run: str) -> Iterator[None]:
    """A bucket has no locks: whoever holds it says so every few seconds. A lease that stays the same is nobody's.

    NOTE: two runs that start within the time an upload takes may both go on. Then trials run twice, with equal tables:
    every file is whole, and the last one written stays.
    """
    if (before := results.read(LOCK)) is not None:
        _outwait(results, before)

    def beat(number: int) -> None:
        results.write(LOCK, b"%s %s %d" % (run.encode(), HOST, number))

    beat(0)
    time.sleep(SETTLE)
    if not seen(results, run, patience=0):
        raise _taken(results)
    try:
        with _renewed(results, run, beat):
            yield
    finally:
        if seen(results, run, patience=0):
            results.remove(LOCK)


def _flock(lock: IO[bytes]) -> bool:
    """Lock an open file, unless another process has; True as well where the file system has no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
    return True


def _host(content: bytes) -> bytes:
    """Where the run is that wrote this; empty if none did."""
    return content.split()[1] if len(content.split()) == 3 else b""


def _outwait(results: Storage, before: bytes) -> None:
    """Return when the holder that wrote `before` has gone, or is silent for long enough; ZfscaleError if it lives."""
    print(f"{results}: another run may be writing here; waiting {PATIENCE:g} s to see", file=sys.stderr)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(1.0)
        now = results.read(LOCK)
        if not now:
            return
        if now != before:
            raise _taken(results)


@contextmanager
def _renewed(results: Storage, run: str, beat: Callable[[int], None]) -> Iterator[None]:
    """Signs of life from a thread of its own."""
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(results, run, beat, done), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()


def _renew(results: Storage, run: str, beat: Callable[[int], None], done: threading.Event) -> None:
    number = 0
    while not done.wait(RENEW):
        number += 1
        try:
            if (results.read(LOCK) or run.encode()).startswith(run.encode()):
                beat(number)
                continue
            print(f"{results}: taken over by another run", file=sys.stderr)
            interrupt()  # again until it is heeded
        except Exception as error:  # whatever a bucket's client raises: the next sign of life may come through
            print(f"{results}: the lease was not renewed: {one_line(error)}", file=sys.stderr)


def interrupt() -> None:
    """Do as Ctrl-C does, or as SIGTERM does where a shell has switched Ctrl-C off."""
    ending = signal.SIGINT if callable(signal.getsignal(signal.SIGINT)) else signal.SIGTERM
    if ending in signal.pthread_sigmask(signal.SIG_BLOCK, []):  # as in a Ray worker: nothing would arrive
        _thread.interrupt_main(ending)
    else:  # this wakes the main thread up
        signal.pthread_kill(threading.main_thread().ident or 0, ending)


def _taken(results: object) -> ZfscaleError:
    return ZfscaleError(f"{results}: another run of this sweep is writing here; wait for it or stop it")
