"""How far a long read is: a bar on a terminal, a line now and then in a log, nothing for a short one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

FIRST, EVERY = 5.0, 30.0  # seconds until the first line, and from one to the next


class Advance(Protocol):
    """Called with how much was done since the last call."""

    def __call__(self, done: int) -> None: ...


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show how much of `total` is done, on stderr."""
    if not sys.stderr.isatty():
        yield _Lines(what, total)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)

        def advance(done: int) -> None:
            bar.advance(task, done)

        yield advance


class _Lines:
    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._next = monotonic() + FIRST

    def __call__(self, done: int) -> None:
        self._done += done
        if monotonic() >= self._next:
            print(f"{self._what}: {self._done} of {self._total}", file=sys.stderr, flush=True)
            self._next = monotonic() + EVERY
