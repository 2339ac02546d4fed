"""The live display of a sweep: done, running, failed, time left, best so far."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from ray import tune
from rich.console import Console
from rich.live import Live
from rich.text import Text

from zfscale.records import Status
from zfscale.results.layout import TRIALS, note_of
from zfscale.results.storage import Place, storage
from zfscale.results.tables import rows
from zfscale.sinks.catalogue import chosen
from zfscale.spec import Sweep, TrialSpec
from zfscale.sweep.deaths import ended
from zfscale.sweep.unfinished import UNFINISHED

LINE_EVERY = 15.0  # seconds between lines where the output is not a terminal


class Progress(tune.Callback):
    """A line that redraws itself on a terminal; a plain line now and then in a log."""

    def __init__(self, sweep: Sweep, root: Place) -> None:
        self.total, self.search, self.root = len(sweep.trials), sweep.spec.search, root
        self.already = self.done = self.failed = self.stopped = 0
        self.running: set[str] = set()
        self.best: tuple[float, str] | None = None
        self._count_earlier({t.trial_id for t in sweep.trials}, root)
        self.started = time.monotonic()
        self._printed = 0.0
        self._notes = {note_of(one.name) for one in chosen(sweep.spec.output) if not one.facts.commits}
        for note in self._notes:
            storage(root).remove(note)  # of an earlier run
        self._console = Console(stderr=True)
        self._live = Live(get_renderable=lambda: Text(self.line()), console=self._console, transient=True)

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks for a restore that we never ask for; a terminal cannot be pickled."""
        return {}

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._console.is_terminal:
            self._live.stop()
        self._console.print(self.line(), highlight=False, soft_wrap=True)

    def line(self) -> str:
        """The state in one line."""
        parts = [
            f"{self.already + self.done}/{self.total} done",
            f"{len(self.running)} running",
            f"{self.failed} failed",
            *([f"{self.stopped} stopped"] if self.stopped else []),
        ]
        left = self.total - self.already - self.done
        if self.done and left:
            parts.append(f"ETA {_clock((time.monotonic() - self.started) / self.done * left)}")
        if self.best:
            parts.append(f"best {self.search.metric} {self.best[0]:.4f} ({self.best[1]})")
        return ", ".join(parts)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has a worker."""
        self.running.add(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial has reported a stage, or ended, well or not; one that is left unfinished is not done."""
        status = result.get("status")
        if status == UNFINISHED:
            self.running.discard(trial.trial_id)
        elif status is not None:
            self._compare(status, result.get(self.search.metric), trial.config["spec"])
            self._end(trial, Status(status))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker died; its trial will be started again."""
        self.running.discard(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker died for good; a trial without a row is left to the next run."""
        self.running.discard(trial.trial_id)
        with suppress(OSError):  # a bucket that does not answer now
            if (status := ended(self.root, TrialSpec.from_json(trial.config["spec"]).trial_id)) is not None:
                self._end(trial, status)

    def _count_earlier(self, mine: set[str], root: Place) -> None:
        for row in rows(root, TRIALS, ["trial_id", "status", "spec", self.search.metric]).to_pylist():
            if row["trial_id"] in mine:
                self.already += 1
                self.failed += row["status"] == Status.FAILED
                self.stopped += row["status"] == Status.STOPPED
                self._compare(row["status"], row[self.search.metric], row["spec"])

    def _compare(self, status: str, value: float | None, spec: str) -> None:
        """Only finished trials are compared: after fewer stages, less is asked."""
        sign = 1 if self.search.mode == "max" else -1
        if (
            status == Status.FINISHED
            and value is not None
            and (self.best is None or sign * value > sign * self.best[0])
        ):
            self.best = (value, label(TrialSpec.from_json(spec)))

    def _end(self, trial: Any, status: Status) -> None:
        self.running.discard(trial.trial_id)
        self.done += 1
        self.failed += status is Status.FAILED
        self.stopped += status is Status.STOPPED
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
        if not self._console.is_terminal and time.monotonic() - self._printed > LINE_EVERY:
            self._printed = time.monotonic()
            self._console.print(self.line(), highlight=False, soft_wrap=True)


def label(spec: TrialSpec) -> str:
    """A trial in a few words."""
    return f"{spec.method.name} {spec.optimizer.name} lr {spec.optimizer.lr:g} seed {spec.seed}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{rest:02d}s"
