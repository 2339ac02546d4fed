"""What is done about storage that fails: say which file and why, wait, try again."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from zfscale.errors import StorageError

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds between two tries: a minute in all
WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ELOOP: "is a symbolic link, which no run writes through; remove it",
}
LASTING = {errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG}  # waiting does not help

T = TypeVar("T")


@contextmanager
def told(file: str) -> Iterator[None]:
    """Raise an OSError of the block as a StorageError of one line that names the file."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        wrapped = StorageError(f"{file}: {reason(error)}")
        wrapped.errno = error.errno
        raise wrapped from error


def patiently(act: Callable[[], T], file: str) -> T:
    """Call `act` until it raises no OSError, for about a minute; what it returns.

    Raises:
        StorageError: It still fails after the last of `WAITS`.
    """
    for wait in WAITS:
        try:
            return act()
        except OSError as error:
            if error.errno in LASTING:
                break
            logging.getLogger(__name__).warning("%s: %s; trying again in %g s", file, reason(error), wait)
            time.sleep(wait)
    with told(file):
        return act()


def reason(error: OSError) -> str:
    """The error in a few words.

    >>> reason(OSError(28, "No space left on device"))
    'the disk is full ([Errno 28])'
    """
    if error.errno in WORDS:
        return f"{WORDS[error.errno]} ([Errno {error.errno}])"
    return error.strerror or str(error).partition("\n")[0] or type(error).__name__
