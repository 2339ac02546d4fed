"""Gives Ray Tune the trials of a population: those of the list, and the forks by which members go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from zfscale.results import check
from zfscale.results.storage import Storage
from zfscale.spec import TrialSpec
from zfscale.sweep.gate import Gate
from zfscale.sweep.listed import Listed
from zfscale.sweep.population import Population


class Successors(Listed):
    """A fork waits until its parent has as many steps as it shares, or has ended: then its ledger can be read.

    A parent that was interrupted may have fewer than it had, so what counts is what it reports in this run.

    Args:
        todo: The trials that are to be run, parents before their forks.
        population: Decides which forks there are.
        there: The results.
    """

    def __init__(
        self,
        todo: Sequence[TrialSpec],
        population: Population,
        there: Storage,
        over: Callable[[], bool] = lambda: False,
        gate: Gate | None = None,
    ) -> None:
        super().__init__((), over, gate)
        self.population, self.there = population, there
        self.queue = deque(todo)
        self.left = {trial.trial_id for trial in todo}  # those without a row
        self.died: set[str] = set()

    @property
    def waits(self) -> bool:
        """Whether there is nothing to start, though there may be later."""
        return bool(self.running) and not any(map(self._ready, self.queue))

    def following(self) -> TrialSpec | None:
        """The first that can begin; what is left when nothing runs any more is for the next run."""
        found = next(filter(self._ready, self.queue), None)
        if found is not None:
            self.queue.remove(found)
        return found

    def suggest(self, trial_id: str) -> Any:
        """As of a list, to which what was decided since is added."""
        while self.population.forks:
            fork = self.population.forks.popleft()
            self.left.add(fork.trial_id)
            self.queue.append(fork)
        return super().suggest(trial_id)

    def ended(self, name: str, row: dict[str, Any] | None) -> None:
        """Who has died may have left enough of a ledger for forks."""
        if row is not None:
            self.left.discard(name)
        else:
            self.died.add(name)

    def _ready(self, trial: TrialSpec) -> bool:
        parent = None if trial.fork is None else trial.fork.trial
        if trial.fork is None or parent not in self.left or self.population.steps.get(parent, 0) >= trial.fork.step:
            return True
        return parent in self.died and check.ended(self.there, parent) is not None
