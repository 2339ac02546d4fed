"""Files that appear whole or not at all: written aside, then renamed; what a killed process left aside is removed."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = ".zfscale-aside-"


class Aside:
    """A new file in a directory, open for reading and writing; held by a lock while its process lives.

    Errors: OSError if it cannot be made there.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_left(directory)
        while True:
            handle, name = tempfile.mkstemp(prefix=PREFIX, dir=directory)
            self.file, self.path = open(handle, "w+b"), Path(name)  # noqa: SIM115
            _lock(self.file.fileno(), fcntl.LOCK_EX)
            if os.fstat(self.file.fileno()).st_nlink:  # else another process took it for one that was left
                return
            self.file.close()

    def keep(self, path: Path) -> None:
        """It is in its place, whole, whatever happens next."""
        self.file.flush()
        os.fsync(self.file.fileno())
        os.replace(self.path, path)
        self.file.close()

    def drop(self) -> None:
        """It is gone, unless it was kept."""
        self.file.close()
        self.path.unlink(missing_ok=True)


def _lock(handle: int, how: int) -> bool:
    """Whether the lock of an open file was had; where a file system has no locks, it never is."""
    try:
        fcntl.flock(handle, how)
    except OSError:
        return False
    return True


def _remove_left(directory: Path) -> None:
    for path in directory.glob(f"{PREFIX}*"):
        with suppress(OSError), open(path, "rb") as file:
            if _lock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB):
                path.unlink()
