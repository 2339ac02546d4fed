"""The journal of a trial: every step goes to the sinks and, if forward-only, to the ledger that a restart replays."""

from __future__ import annotations

import time
from collections import deque

from zfscale.records import Query, Sink, Step
from zfscale.zo.ledger import Entry, Ledger
from zfscale.zo.step import StepResult


class Journal:
    """Running totals of forwards and seconds; with a `ledger`, those of earlier attempts are taken over."""

    def __init__(self, sink: Sink, ledger: Ledger | None = None) -> None:
        self.sink = sink
        self.forwards = 0
        self._ledger = ledger
        self._past = deque(ledger.past if ledger else ())
        self._started = time.perf_counter() - (self._past[-1].seconds if self._past else 0.0)

    @property
    def seconds(self) -> float:
        """Since the trial began, without the time between a kill and the restart."""
        return time.perf_counter() - self._started

    def record(self, task: int, step: int, lr: float, result: StepResult) -> None:
        """A step that was taken now."""
        self.forwards += result.forwards
        queries = (result.accepted, result.seeds, result.coefficients)
        entry = Entry(task, step, lr, result.loss, self.forwards, self.seconds, *queries)
        if self._ledger is not None:
            self._ledger.append(entry)
        self._tell(entry)

    def replayed(self, task: int, step: int) -> Entry | None:
        """The step as an earlier attempt took it, told to the sinks again; None once those are used up."""
        if not self._past:
            return None
        entry = self._past.popleft()
        assert (entry.task, entry.step) == (task, step), "a ledger of another trial"
        self.forwards = entry.forwards
        self._tell(entry)
        return entry

    def _tell(self, e: Entry) -> None:
        self.sink.step(Step(e.task, e.step, e.loss, e.lr, e.forwards, e.seconds))
        for i, (seed, c) in enumerate(zip(e.seeds, e.coefficients, strict=True)):
            self.sink.query(Query(e.task, e.step, i, seed, c, e.accepted))
