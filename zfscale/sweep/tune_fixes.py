"""What of Ray Tune must be otherwise while a sweep runs.

- Tune adds variables to the runtime environment of its workers: AWS credentials, which Ray logs, some of its own, and
  one for PyTorch Lightning. Workers of a cluster of our own inherit the environment, and nodes of another have
  credentials of their own. Without an environment a worker takes one of the processes that Ray has started already.
- Tune ends the whole run at the death of a worker by Ray's memory monitor. It is to be a death like any other.
- Tune waits fifteen seconds, at the end of an interrupted run, for workers that are in the middle of a trial, and kills
  them then. A killed trial resumes from its ledger, so they may be killed at once.
- Where a worker is free, Tune gives it the next trial, and ends the worker that was being started for that one. Where
  trials take less time than a worker's start, no further worker is ever there.
- Tune keeps all trials that have ended, about 40 KB each, looks through them to find the next, and turns them into JSON
  at its end. Their rows are in Parquet.
- Tune prints each result, with `verbose=0` to nobody, and keeps the trials that it has printed.
- Tune logs a traceback at each failure of a worker. What matters of one is in the trial's row, or said in a line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

from ray import tune
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune import progress_reporter
from ray.tune.execution import class_cache, tune_controller
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from zfscale.patching import replaced
from zfscale.sweep.tune_registry import looked_up_once

LOGGERS = ("ray.tune", "ray.train", "ray.air")
NO_MEMORY = "Ray killed the worker because its node ran out of memory"


class ActorManager(RayActorManager):
    """Tune's, which knows two kinds of errors of a task and ends at any other."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        super()._actor_task_failed(tracked_actor_task, _as_death(exception))

    def _actor_start_failed(self, tracked_actor: Any, exception: Exception) -> None:
        super()._actor_start_failed(tracked_actor, _as_death(exception))


class Controller(TuneController):
    """Tune's, which forgets ended trials, waits for none that is to be killed, and spares workers that start."""

    def step(self) -> None:
        """One turn of Tune's loop."""
        super().step()
        ended = self._stopped_trials | self._failed_trials
        if len(ended) > 1:
            self._forget(ended - {max(ended, key=self._trials.index)})

    def _forget(self, over: set[Trial]) -> None:
        """Keep nothing of trials that have ended; of all, the latest stays, which Tune wants to see when it is done."""
        self._trials[:] = [trial for trial in self._trials if trial not in over]
        for kept in (self._stopped_trials, self._failed_trials, self._live_trials):
            kept -= over
        self._trials_to_cache.clear()  # of a state that is not written

    def _maybe_reuse_cached_actor(self, trial: Trial) -> bool:
        """Give a free worker to the trial, or to the first that waits for room if this one's own is being started."""
        other = self._first_without_room() if self._starts(trial) else None
        if other is None:  # or all that are left have a worker of their own: then the free one is faster
            return super()._maybe_reuse_cached_actor(trial)
        asked: Any = trial.placement_group_factory
        self._resources_to_pending_trials[asked].add(trial)  # the caller may have taken it out
        return super()._maybe_reuse_cached_actor(other)

    def _first_without_room(self) -> Trial | None:
        """Of those that Tune has asked for workers for, in that order."""
        for trial in self._trial_to_actor:
            if trial in self._pending_trials and trial not in self._resetting_trials and not self._starts(trial):
                return trial
        return None

    def _starts(self, trial: Trial) -> bool:
        """Whether the trial has a worker of its own, which has room on a node and is not yet ready."""
        actor = self._trial_to_actor.get(trial)
        if actor is None or actor in self._started_actors:
            return False
        return self._actor_manager.is_actor_started(actor)

    def _cleanup_trials(self) -> None:
        busy = list(self._actor_to_trial.values())
        if not busy:  # what is left are workers without a trial, which end by themselves
            super()._cleanup_trials()
            return
        for trial in busy:
            self._schedule_trial_stop(trial)
        self._actor_manager.cleanup()


class Silent(tune.Callback):
    """In place of the one that prints results."""

    def __init__(self, **_options: Any) -> None:
        super().__init__()


def _as_death(error: Exception) -> Exception:
    return RayActorError(error_msg=f"{NO_MEMORY}\n{error}") if isinstance(error, OutOfMemoryError) else error


@contextmanager
def tune_fixes() -> Iterator[None]:
    """Tune as described above, until the block ends."""
    with ExitStack() as stack:
        stack.enter_context(replaced(class_cache, "ENV_VARS_TO_PROPAGATE", frozenset()))
        stack.enter_context(replaced(class_cache, "DEFAULT_ENV_VARS", {}))
        stack.enter_context(replaced(tune_controller, "RayActorManager", ActorManager))
        stack.enter_context(replaced(import_module("ray.tune.tune"), "TuneController", Controller))
        stack.enter_context(replaced(progress_reporter, "TrialProgressCallback", Silent))
        stack.enter_context(looked_up_once())
        for name in LOGGERS:
            stack.enter_context(_silent(logging.getLogger(name)))
        yield


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
