"""Starts trials in the order of the file, without a look at all that have ended, as Ray Tune's own queue takes."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class InOrder(FIFOScheduler):
    """Ray Tune's queue, which begins its search at the first trial, however many have ended."""

    def __init__(self) -> None:
        super().__init__()
        self._first = 0  # before it, all have been started

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The first trial that was never started. One that is to be started again, Tune starts as it finds room."""
        trials: list[Trial] = tune_controller.get_trials()
        while self._first < len(trials) and trials[self._first].status != Trial.PENDING:
            self._first += 1
        return trials[self._first] if self._first < len(trials) else None
