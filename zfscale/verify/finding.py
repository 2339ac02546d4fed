"""What is wrong with a trial: which part of its results or inputs is not what it was, and how that shows."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that does not hold.

    Args:
        part: What it is about: a table, `snapshots`, or an input such as "test data".
        place: Where in it, if that can be told.
        problem: What was found.
    """

    part: str
    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.part}{f', {self.place}' if self.place else ''}: {self.problem}"


def told(then: object, now: object) -> str:
    """How a recorded value differs from the one that was found now."""
    return f"{_short(then)} is recorded, {_short(now)} was found"


def _short(value: object) -> str:
    """A hash by its first digits, a number in full."""
    return value[:12] if isinstance(value, str) and len(value) == 64 else f"{value!r}"
