"""How far a long reading has come: a bar on a terminal, else a plain line now and then; both on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_EVERY = 30.0  # seconds between lines where standard error is no terminal


@contextmanager
def progress(what: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """A function that is called with how many units more are done; `total` is None where nobody knows."""
    yield from _bar(what, total, unit) if sys.stderr.isatty() else _lines(what, total, unit)


def _bar(what: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = ("{task.description}", "{task.completed:,}", "{task.fields[unit]}")
    texts = [TextColumn(column, markup=False) for column in columns]
    with Progress(
        texts[0], BarColumn(), *texts[1:], TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(what, total=total, unit=unit)
        yield lambda count: bar.advance(task, count)


def _lines(what: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    done, last = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            print(f"{what}: {done:,}{'' if total is None else f' of {total:,}'} {unit}", file=sys.stderr, flush=True)

    yield advance
