"""What is said once about data that was read: how often something was skipped or repaired, and where first."""

from __future__ import annotations


class Notes:
    """Counts by kind, in the order of their first appearance."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, what: str, where: str, count: int = 1) -> None:
        """Count one more of a kind; `where` is kept of the first one."""
        before, first = self._found.get(what, (0, where))
        self._found[what] = (before + count, first)

    def lines(self) -> list[str]:
        """One line a kind, such as "3 rows of null are skipped; the first: a.jsonl, line 7"."""
        return [f"{count:,} {what}; the first: {first}" for what, (count, first) in self._found.items()]
