"""Why trials failed, in groups: errors that differ in numbers and ids alone have one cause."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

TRACEBACK = "Traceback (most recent call last):"  # the line above its frames
NAMED = re.compile(r"[A-Z]\w+: ")  # a cause with its name
LIMIT = 160  # characters of a cause that are shown
IDS = re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b")
NUMBERS = re.compile(r"(?<![A-Za-z_0-9])[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?(?![A-Za-z_0-9])")
PACKAGE = re.compile(r"^(?:[A-Za-z_]\w*\.)+(?=[A-Z]\w*(:|$))")  # of an exception: its module


class Cause(NamedTuple):
    """Trials that failed for one reason.

    Args:
        name: The line of the error that says what was wrong, without what differs from trial to trial.
        trials: Their ids, in order; the first is the example that is shown.
        example: That line of that one's error, as it is.
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
    text = NUMBERS.sub("N", IDS.sub("...", PACKAGE.sub("", telling_line(error))))
    return text if len(text) <= LIMIT else f"{text[: LIMIT - 4]} ..."


def causes(errors: Iterable[tuple[str, str | None]]) -> list[Cause]:
    """Failed trials, each an id and its error, grouped by cause; the largest group first."""
    groups: dict[str, list[tuple[str, str | None]]] = {}
    for trial_id, error in sorted(errors, key=lambda each: each[0]):
        groups.setdefault(cause(error), []).append((trial_id, error))
    found = [Cause(name, [i for i, _ in of], telling_line(of[0][1])) for name, of in groups.items()]
    return sorted(found, key=lambda each: (-len(each.trials), each.name))


def telling_line(error: str | None) -> str:
    """Of a traceback, the line that says what was wrong; of any other text, its last one; "-" where nothing is said.

    Below the frames of a traceback, which are indented, stands the exception with its message, of one line or many.
    What says more than the exception, `NAME: why`, stands above.
    """
    lines = [line.rstrip() for line in (error or "").splitlines() if line.strip()]
    if TRACEBACK in lines:
        if NAMED.match(lines[0]):
            return lines[0]
        frames = len(lines) - lines[::-1].index(TRACEBACK)
        for place in range(frames, len(lines)):
            if not lines[place].startswith(" "):
                return " ".join(line.strip() for line in lines[place : place + 1 + lines[place].endswith(":")])
    return lines[-1].strip() if lines else "-"


def matches(error: str | None, text: str) -> bool:
    """Whether an error is of the cause that a user names: the group's name, or any part of the error itself."""
    return text in cause(error) or text in (error or "")
