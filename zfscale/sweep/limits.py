"""Trials that take too long, or do not get on: the driver ends them, since their own process may be stuck anywhere."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from zfscale.errors import one_line
from zfscale.results.check import ended
from zfscale.results.missing import root as results
from zfscale.results.workers import SAY_EVERY, words
from zfscale.spec import Sweep, TrialSpec
from zfscale.sweep.unpickled import Unpickled
from zfscale.sweep.worker import record_failure

LOOK_EVERY = 1.0  # seconds between two looks at the clock


@dataclass
class Watched:
    """A trial that has a worker: Tune's object, its id, when this attempt began, and how far it was when it got on."""

    trial: Any
    trial_id: str
    began: float
    moved: float
    at: tuple[int, int] = (0, 0)


class Limits(Unpickled, tune.Callback):
    """Ends a trial after `resources.max_seconds`, or after `resources.max_idle_seconds` without a step or a measure.

    Its worker is killed, which works wherever it is; the trial is recorded as failed and not started again.
    Comes before whatever records deaths.
    """

    def __init__(self, sweep: Sweep, run: str) -> None:
        r = sweep.spec.resources
        self.sweep, self.run, self.seconds, self.idle = sweep, run, r.max_seconds, r.max_idle_seconds
        self.watched: dict[str, Watched] = {}
        self.over: dict[str, str] = {}  # Tune's id of a trial that is ended -> why
        self._next = self._next_words = 0.0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has a worker."""
        now = time.monotonic()
        if self.seconds or self.idle:
            trial_id = TrialSpec.from_json(trial.config["spec"]).trial_id
            self.watched[trial.trial_id] = Watched(trial, trial_id, now, now)

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """A trial has ended, well or not, or has reported."""
        if result.get("status") is not None:
            self.watched.pop(trial.trial_id, None)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker died; its trial will be started again."""
        self.watched.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune has given a trial up, such as one that was ended here."""
        self.watched.pop(trial.trial_id, None)
        if (why := self.over.pop(trial.trial_id, None)) is None:
            return
        spec, root = TrialSpec.from_json(trial.config["spec"]), results(self.sweep)
        try:
            if ended(root, spec.trial_id) is None:  # else it ended by itself in the last moment
                record_failure(root, self.sweep.spec.name, spec, self.sweep.spec.output, why)
        except OSError as error:
            print(f"trial {spec.trial_id}: its failure was not recorded: {one_line(error)}", file=sys.stderr)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tune's loop has turned once."""
        now = time.monotonic()
        if not self.watched or now < self._next:
            return
        self._next = now + LOOK_EVERY
        if self.idle:
            self._hear(now)
        for one in list(self.watched.values()):
            if why := self._too_long(one, now):
                self._end(one, why)

    def _hear(self, now: float) -> None:
        """Which trials have got on since the workers were heard last."""
        if now < self._next_words:
            return
        self._next_words = now + SAY_EVERY
        try:
            said = {word.trial_id: (word.attempt, word.moves) for word in words(results(self.sweep), self.run)}
        except OSError:  # a bucket that does not answer now: nothing is known, and nobody to blame
            for one in self.watched.values():
                one.moved = now
            return
        for one in self.watched.values():
            if (at := said.get(one.trial_id, one.at)) != one.at:
                one.at, one.moved = at, now

    def _too_long(self, one: Watched, now: float) -> str | None:
        if self.seconds and now - one.began > self.seconds:
            return f"TimeLimit: the trial took more than resources.max_seconds: {self.seconds:g}"
        if self.idle and now - one.moved > self.idle:
            spoke = f"its worker spoke of {one.at[1]} steps and measures, attempt {one.at[0]}"
            return (
                f"{spoke if one.at[0] else 'its worker said nothing'}\n"
                f"NoProgress: the trial took no step and measured nothing for resources.max_idle_seconds: {self.idle:g}"
            )
        return None

    def _end(self, one: Watched, why: str) -> None:
        """Kill the worker; Tune hears of its death, and calls `on_trial_error`."""
        del self.watched[one.trial.trial_id]
        self.over[one.trial.trial_id] = why
        one.trial.max_failures = 0  # it is not to be started again
        with suppress(ValueError, AttributeError):  # its worker has just gone
            ray.kill(one.trial.temporary_state.ray_actor)
        print(f"trial {one.trial_id} is ended: {why.rpartition(chr(10))[2]}", file=sys.stderr)
