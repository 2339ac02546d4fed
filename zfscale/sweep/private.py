"""A directory of this machine that nobody else may enter, for what Ray writes while a sweep runs; it goes with the run.

Ray opens its own directory to everybody and leaves it behind: sockets, logs, and the environment of workers in them.
A run that was killed could not remove its directory: the next one does.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zfscale.errors import ZfscaleError

PREFIX = "zf-ray-"  # short: the longest path of a socket in it counts
OWNER = "owner"  # a file that is locked while the run lives
SESSIONS = "r"  # where Ray puts the directory of its session
SOCKET = 107 if sys.platform == "linux" else 103  # bytes that a socket's path may have
INSIDE = len(f"/{PREFIX}12345678/{SESSIONS}/session_2026-01-31_23-59-59_123456_1234567/sockets/plasma_store")
LONGEST = SOCKET - INSIDE
BEGINS = 600.0  # seconds in which a run that has made its directory has locked it
REMOVE_TRIES = 20  # with 0.1 s between them: processes of Ray may still be ending


@contextmanager
def private_directory() -> Iterator[Path]:
    """Make the directory, mode 700, and remove it at the end, whatever the end is; those of dead runs go first.

    Errors: ZfscaleError where no directory for temporary files has a path short enough for Ray's sockets.
    """
    parent = _parent()
    for stale in parent.glob(f"{PREFIX}*"):
        _remove_if_dead(stale)
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with open(place / OWNER, "w") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX)
            yield place
    finally:
        _remove(place)


def _parent() -> Path:
    """The directory for temporary files, or another one where its path is too long for sockets in it."""
    wanted = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    for place in (os.path.abspath(wanted), "/tmp", "/var/tmp", "/dev/shm"):
        if len(os.fsencode(place)) <= LONGEST and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return Path(place)
    raise ZfscaleError(
        f"TMPDIR: {wanted!r} is too long for Ray's sockets ({LONGEST} bytes at most), and /tmp is not to be written to"
    )


def _remove_if_dead(place: Path) -> None:
    """Remove a run's directory if it is this user's and the run has ended: then nobody holds its lock."""
    with suppress(OSError):
        found = place.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            if not (place / OWNER).exists():  # of a run that begins, or made again by a process that outlived its run
                if time.time() - found.st_mtime > BEGINS:
                    _remove(place)
                return
            with open(place / OWNER) as owner:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(place)


def _remove(place: Path) -> None:
    for _ in range(REMOVE_TRIES):
        shutil.rmtree(place, ignore_errors=True)
        if not place.exists():
            return
        time.sleep(0.1)
