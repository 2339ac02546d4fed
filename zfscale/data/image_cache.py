"""Decoded images of large datasets, on disk: an entry is a directory that is there whole, or not at all.

An entry's name is a hash of all that decides its content, the bytes of every image among it: a changed file is another
entry. What a process was writing when it died is removed by the next one that writes.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from zfscale.errors import DataError

IMAGES, FACTS = "images.npy", "facts.json"
_ASIDE = "aside"


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/zfscale/images`, by default `~/.cache/zfscale/images`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "zfscale" / "images"


def read(entry: Path) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The array of an entry, mapped into memory and not writable, and its facts; None if it is missing or not whole."""
    try:
        facts = json.loads((entry / FACTS).read_text())
        images = np.asarray(np.load(entry / IMAGES, mmap_mode="r"))  # a view: pickles like any array
        return (images, facts) if list(images.shape) == facts["shape"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def aside(entry: Path) -> Iterator[Path]:
    """An empty directory that becomes the entry if the block ends well, and is removed if it does not.

    Errors: DataError if there is no room for it.
    """
    home = entry.parent
    room: Path | None = None
    try:
        home.mkdir(parents=True, exist_ok=True)
        _remove_dead(home)
        room = Path(tempfile.mkdtemp(prefix=f"{_ASIDE}-{socket.gethostname()}-{os.getpid()}-", dir=home))
        yield room
        for file in room.iterdir():
            _sync(file)
        if read(entry) is None:  # else another process was faster
            shutil.rmtree(entry, ignore_errors=True)
            os.rename(room, entry)
    except OSError as error:
        what = error.strerror or str(error)
        raise DataError(f"the cache of images, {home}, cannot be written: {what}; set XDG_CACHE_HOME") from error
    finally:
        if room is not None:
            shutil.rmtree(room, ignore_errors=True)


def _remove_dead(home: Path) -> None:
    """Remove what processes of this machine have left that are gone."""
    for room in home.glob(f"{_ASIDE}-{socket.gethostname()}-*"):
        pid = room.name.split("-")[-2]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(room, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _sync(file: Path) -> None:
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())
