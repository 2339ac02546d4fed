"""The live display of a sweep: done, running, failed, time left, best so far."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from ray import tune
from rich.console import Console
from rich.live import Live
from rich.text import Text

from zfscale.records import Status
from zfscale.results.check import ended
from zfscale.results.forecast import Eta, Forecast, Going
from zfscale.results.layout import TRIALS, note_of
from zfscale.results.plan import Plan, label
from zfscale.results.storage import Place, storage
from zfscale.results.tables import rows
from zfscale.results.workers import words
from zfscale.sinks.catalogue import chosen
from zfscale.spec import Sweep, TrialSpec
from zfscale.sweep.unfinished import UNFINISHED
from zfscale.sweep.unpickled import Unpickled

LINE_EVERY = 15.0  # seconds between lines where the output is not a terminal
LOOK_EVERY = 5.0  # seconds between two looks at how far running trials are
LOOK_SHARE = 0.05  # of the driver's time that these may take


class Listener(Protocol):
    """Who else is told how the sweep stands."""

    def tell(self, shown: Progress) -> None: ...


class Progress(Unpickled, tune.Callback):
    """A line that redraws itself on a terminal; a plain line now and then in a log; `listeners` are told in between."""

    def __init__(self, sweep: Sweep, root: Place, plan: Plan, listeners: Sequence[Listener] = ()) -> None:
        self.listeners = listeners
        self.plan, self.search, self.root, self.run = plan, sweep.spec.search, root, plan.run
        self.already = self.done = self.failed = self.stopped = self.slots = 0
        self.running: dict[str, tuple[str, float]] = {}  # Tune's id of a trial -> ours, and when it was started
        self.forecast = Forecast(plan.trials)
        self.eta: Eta | None = None
        self.best: tuple[float, str] | None = None
        self._count_earlier({t.trial_id for t in sweep.trials}, root)
        self.started: float | None = None
        self._printed = self._looked = 0.0
        self._notes = {note_of(one.name) for one in chosen(sweep.spec.output) if not one.facts.commits}
        for note in self._notes:
            storage(root).remove(note)  # of an earlier run
        self._console = Console(stderr=True)
        self._live = Live(get_renderable=lambda: Text(self.line()), console=self._console, transient=True)

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._console.is_terminal:
            self._live.stop()
        self._console.print(self.line(), highlight=False, soft_wrap=True)
        self._tell()

    def line(self) -> str:
        """The state in one line."""
        parts = [
            f"{self.already + self.done}/{len(self.plan.trials)} done",
            f"{len(self.running)} running",
            f"{self.failed} failed",
            *([f"{self.stopped} stopped"] if self.stopped else []),
        ]
        if self.eta and self.running:
            parts.append(f"ETA {self.eta}")
        if self.best:
            parts.append(f"best {self.search.metric} {self.best[0]:.4f} ({self.best[1]})")
        return ", ".join(parts)

    @property
    def counts(self) -> dict[str, int]:
        """State -> trials in it; each is in one."""
        ended, running = self.already + self.done, len(self.running)
        return {
            "left": max(len(self.plan.trials) - ended - running, 0),
            "running": running,
            Status.FINISHED.value: ended - self.failed - self.stopped,
            Status.FAILED.value: self.failed,
            Status.STOPPED.value: self.stopped,
        }

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has a worker."""
        now = time.monotonic()
        self.started = self.started or now
        self.running[trial.trial_id] = (TrialSpec.from_json(trial.config["spec"]).trial_id, now)
        self.slots = max(self.slots, len(self.running))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial has reported a stage, or ended, well or not; one that is left unfinished is not done."""
        status = result.get("status")
        if status == UNFINISHED:
            self.running.pop(trial.trial_id, None)
        elif status is not None:
            self._compare(status, result.get(self.search.metric), trial.config["spec"])
            self._end(trial, result)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker died; its trial will be started again."""
        self.running.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker died for good; a trial without a row is left to the next run."""
        with suppress(OSError):  # a bucket that does not answer now
            if (status := ended(self.root, TrialSpec.from_json(trial.config["spec"]).trial_id)) is not None:
                self._end(trial, {"status": status})
        self.running.pop(trial.trial_id, None)

    def _count_earlier(self, mine: set[str], root: Place) -> None:
        wanted = dict.fromkeys(["trial_id", "status", "spec", "seconds", "forwards", self.search.metric])
        for row in rows(root, TRIALS, list(wanted)).to_pylist():
            if row["trial_id"] in mine:
                self.already += 1
                whole = row if row["status"] == Status.FINISHED else {}
                self.forecast.end(row["trial_id"], whole.get("seconds"), whole.get("forwards"), now=False)
                self.failed += row["status"] == Status.FAILED
                self.stopped += row["status"] == Status.STOPPED
                self._compare(row["status"], row[self.search.metric], row["spec"])

    def _compare(self, status: str, value: float | None, spec: str) -> None:
        """Only finished trials are compared, and numbers: after fewer stages, less is asked."""
        if status != Status.FINISHED or value is None or math.isnan(value):
            return
        sign = 1 if self.search.mode == "max" else -1
        if self.best is None or sign * value > sign * self.best[0]:
            self.best = (value, label(TrialSpec.from_json(spec)))

    def _end(self, trial: Any, result: dict[str, Any]) -> None:
        """A trial has a row; of one that did not finish, neither seconds nor forwards are those of its kind."""
        status = result.get("status")
        self.done += 1
        self.failed += status == Status.FAILED
        self.stopped += status == Status.STOPPED
        if trial.trial_id in self.running:
            whole = result if status == Status.FINISHED else {}
            trial_id, _ = self.running.pop(trial.trial_id)
            self.forecast.end(trial_id, whole.get("seconds"), whole.get("forwards"))
        self._tell_notes()

    def _tell_notes(self) -> None:
        """Say, once, what is wrong with a sink of this sweep: the logs of workers are out of sight."""
        with suppress(OSError):  # a bucket that does not answer now
            for note in sorted(self._notes):
                if text := storage(self.root).read(note):
                    self._console.print(f"warning: {text.decode()}", highlight=False, markup=False, soft_wrap=True)
                    self._notes.discard(note)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tune's loop has turned once."""
        if time.monotonic() > self._looked:
            self._look()
        if not self._console.is_terminal and time.monotonic() - self._printed > LINE_EVERY:
            self._printed = time.monotonic()
            self._console.print(self.line(), highlight=False, soft_wrap=True)

    def _look(self) -> None:
        """How far the running trials are, from which follows the time left."""
        now = time.monotonic()
        with suppress(OSError):  # a bucket that does not answer now
            if self.plan.grows:
                self.plan.write(self.root)
            said = {word.trial_id: word for word in words(self.root, self.run)}
            going = []
            for trial_id, since in self.running.values():
                word = said.get(trial_id)
                steps = (word.forwards, word.price) if word else (0, None)
                going.append(Going(trial_id, *steps, elapsed=now - since))
            wall = 0.0 if self.started is None else now - self.started
            self.eta = self.forecast.eta(going, self.slots, wall)
        self._tell()
        took = time.monotonic() - now
        self._looked = now + took + max(LOOK_EVERY, took / LOOK_SHARE)

    def _tell(self) -> None:
        for listener in self.listeners:
            listener.tell(self)
