"""How often each kind of fault happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Tally:
    """How often each kind happened, and came too late, and how many seconds runs took to end after a signal."""

    done: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    took: dict[str, list[float]] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """A table by kind."""
        yield f"{'fault':<24}{'happened':>9}{'too late':>9}{'s to end':>9}{'at most':>9}"
        for kind in sorted(set(self.done) | set(self.missed)):
            took = self.took.get(kind)
            ends = f"{sum(took) / len(took):>9.1f}{max(took):>9.1f}" if took else ""
            yield f"{kind:<24}{self.done[kind]:>9}{self.missed[kind]:>9}{ends}"
        yield f"{'in all':<24}{self.done.total():>9}{self.missed.total():>9}"
