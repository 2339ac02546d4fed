"""Whether another trial may start: not once the budget is spent, and not before there is room for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zfscale.spec.spending import BudgetSpec, taken


class Gate:
    """Counts what trials take, of all runs of a sweep, and those that run now.

    Args:
        budget: What they may take in all.
        rows: Of `trials`, what ended before.
        forwards: Of a trial id, the training forwards that it is expected to make.
        slots: How many trials the cluster has room for, now; None if it grows, or if nothing depends on it.
    """

    def __init__(
        self,
        budget: BudgetSpec | None = None,
        rows: Iterable[Mapping[str, Any]] = (),
        forwards: Callable[[str], float] = lambda _: 0.0,
        slots: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.budget, self.slots = budget, slots
        self._taken, self._forwards = taken(rows), forwards
        self._running: dict[str, float] = {}  # Tune's id -> forwards that are expected of it

    @property
    def closed(self) -> bool:
        """Whether what ended has spent the budget: nothing starts any more."""
        return bool(self.budget and self.budget.spent(self._taken))

    @property
    def full(self) -> bool:
        """Whether nothing may start now: there is no room, or what runs is expected to spend the budget."""
        slots = self.slots()
        if slots is not None and len(self._running) >= slots:
            return True
        soon = {**self._taken, "trials": self._taken["trials"] + len(self._running)}
        soon["forwards"] += sum(self._running.values())
        return bool(self._running and self.budget and self.budget.spent(soon))

    def begin(self, name: str, trial_id: str) -> None:
        """A trial is to start, by Tune's id and ours."""
        self._running[name] = self._forwards(trial_id)

    def end(self, name: str, result: Mapping[str, Any] | None) -> None:
        """It has ended; without a result where its workers died."""
        self._running.pop(name, None)
        for unit, amount in taken([result or {}]).items():
            self._taken[unit] += amount
