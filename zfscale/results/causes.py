"""Why trials failed, in groups: errors that differ in numbers and ids alone have one cause."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

LIMIT = 160  # characters of a cause that are shown
IDS = re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b")
NUMBERS = re.compile(r"(?<![A-Za-z_0-9])[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?(?![A-Za-z_0-9])")
PACKAGE = re.compile(r"^(?:[A-Za-z_]\w*\.)+(?=[A-Z]\w*(:|$))")  # of an exception: its module


class Cause(NamedTuple):
    """Trials that failed for one reason.

    Args:
        name: The last line of the error, without what differs from trial to trial.
        trials: Their ids, in order; the first is the example that is shown.
        example: The last line of that one's error, as it is.
    """

    name: str
    trials: list[str]
    example: str


def cause(error: str | None) -> str:
    """The name of an error's group.

    >>> cause("zfscale.training.fit.Diverged: task 2, step 31: no finite loss, but nan")
    'Diverged: task N, step N: no finite loss, but nan'
    >>> cause("the worker 0x7f3a of trial 0123456789ab died 4 times")
    'the worker ... of trial ... died N times'
    """
    text = NUMBERS.sub("N", IDS.sub("...", PACKAGE.sub("", last_line(error))))
    return text if len(text) <= LIMIT else f"{text[: LIMIT - 4]} ..."


def causes(errors: Iterable[tuple[str, str | None]]) -> list[Cause]:
    """Failed trials, each an id and its error, grouped by cause; the largest group first."""
    groups: dict[str, list[tuple[str, str | None]]] = {}
    for trial_id, error in sorted(errors, key=lambda each: each[0]):
        groups.setdefault(cause(error), []).append((trial_id, error))
    found = [Cause(name, [i for i, _ in of], last_line(of[0][1])) for name, of in groups.items()]
    return sorted(found, key=lambda each: (-len(each.trials), each.name))


def last_line(error: str | None) -> str:
    """Of a traceback, the line that says what was wrong; "-" where nothing is said."""
    lines = [line.strip() for line in (error or "").splitlines() if line.strip()]
    return lines[-1] if lines else "-"


def matches(error: str | None, text: str) -> bool:
    """Whether an error is of the cause that a user names: the group's name, or any part of the error itself."""
    return text in cause(error) or text in (error or "")
