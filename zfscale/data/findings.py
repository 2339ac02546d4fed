"""What was noticed while a dataset was read: counted, and said once, a line for each kind."""

from __future__ import annotations

import logging
from collections.abc import Iterable

log = logging.getLogger(__name__)


class Findings:
    """Notes and counts about the dataset `name`; `say` logs each of them once, as a warning."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._notes: dict[str, None] = {}
        self._counts: dict[str, tuple[int, str]] = {}

    def note(self, *notes: str) -> None:
        """Say this, once."""
        self._notes.update(dict.fromkeys(notes))

    def count(self, what: str, example: str) -> None:
        """One more of a kind, e.g. "files that are no images are left out"; the first example is named."""
        count, first = self._counts.get(what, (0, example))
        self._counts[what] = (count + 1, first)

    @property
    def lines(self) -> list[str]:
        """Everything that is to be said, without the dataset's name."""
        return [*self._notes, *(f"{n} {what} (first: {first})" for what, (n, first) in self._counts.items())]

    def say(self) -> None:
        """Log every line."""
        for line in self.lines:
            log.warning("dataset %s: %s", self.name, line)


def listed(problems: Iterable[str], what: str) -> str:
    """The only problem, or all that were found in one line: `what` says what they are."""
    found = list(problems)
    return found[0] if len(found) == 1 else f"{len(found)} {what}: {'; '.join(found)}"
