"""How far a long reading has come: a bar on a terminal, else a plain line now and then; both on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

FIRST, EVERY = 5.0, 30.0  # seconds until the first line, and from one to the next


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
    done, following = 0, monotonic() + FIRST

    def advance(count: int) -> None:
        nonlocal done, following
        done += count
        if monotonic() >= following:
            print(f"{what}: {done:,}{'' if total is None else f' of {total:,}'} {unit}", file=sys.stderr, flush=True)
            following = monotonic() + EVERY

    yield advance
