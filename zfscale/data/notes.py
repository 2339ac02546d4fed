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

    def say(self, line: str) -> None:
        """Keep a line that has no count."""
        self._found[line] = (0, "")

    def lines(self) -> list[str]:
        """One line a kind, such as "skipped rows of null: 3; the first: a.jsonl, line 7"."""
        return [f"{what}: {n:,}; the first: {first}" if n else what for what, (n, first) in self._found.items()]
