"""The journal of a trial: every step goes to the sinks and to the ledger, from which a restart goes on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from zfscale.engine.module_leaves import ModuleLeaves
from zfscale.records import Query, Sink, Step
from zfscale.training.checkpoints import Kept, State
from zfscale.training.snapshots import Snapshots
from zfscale.zo.ledger import Entry, Ledger, Past
from zfscale.zo.step import StepResult


class Journal:
    """Running totals; with a `ledger`, the steps of earlier attempts are taken over.

    Every rank of a trial has one; the ledger's file, the snapshots and the sinks are rank 0's. `every` is the number of
    steps between two looks at the `recent` loss; 0 if nobody looks. Of the `steps` so far, the last was of `task`.
    `complete` says that the trial has ended, and that its past is all there is.
    """

    complete = False

    def __init__(
        self,
        sink: Sink,
        ledger: Ledger | Past | None = None,
        snapshots: Snapshots | None = None,
        every: int = 0,
    ) -> None:
        self.sink, self.every, self.steps, self.task = sink, every, 0, 0
        self._losses: deque[float] = deque(maxlen=every)
        self.forwards = 0
        self.bytes_sent = 0  # by this rank, in this attempt
        self.weights: list[str] = []  # of each stage, the SHA-256 of what is trained
        self._ledger, self._snapshots = ledger, snapshots
        self._past = deque(ledger.past if ledger else ())
        self._last: Entry | None = None
        self._started = time.perf_counter() - (self._past[-1].seconds if self._past else 0.0)

    @property
    def seconds(self) -> float:
        """Since the trial began, without the time between a kill and the restart."""
        return time.perf_counter() - self._started

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside takes no time of the trial's."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._started += time.perf_counter() - begun

    def record(self, task: int, step: int, lr: float, result: StepResult) -> None:
        """A step that was taken now."""
        entry = Entry(result.loss, result.forwards, self.seconds, result.accepted, result.seeds, result.coefficients)
        if self._ledger is not None:
            self._ledger.append(entry)
        self._tell(task, step, lr, entry)

    def take(self, task: int, step: int, lr: float) -> Entry | None:
        """The step as an earlier attempt took it, told to the sinks again; None once those are used up."""
        if not self._past:
            return None
        entry = self._past.popleft()
        self._tell(task, step, lr, entry)
        return entry

    def finished(self, task: int, count: int) -> bool:
        """Whether an earlier attempt took all `count` steps of the task's first-order phase and kept its end."""
        return bool(self._snapshots and len(self._past) >= count and self._snapshots.has(task))

    def forget(self) -> None:
        """What is left of earlier attempts is void: a part of a first-order phase, which has to begin again."""
        if self._past:
            assert self._ledger is not None
            self._ledger.drop(len(self._past))
            self._past.clear()

    def save(self, task: int, leaves: ModuleLeaves) -> None:
        """A first-order phase has ended."""
        if self._snapshots:
            self._snapshots.save(task, leaves)

    def checkpoint(self, task: int, steps: int, state: Callable[[], State]) -> None:
        """So many steps of a first-order phase are taken; now and then, `state` is kept for a restart."""
        if self._snapshots and self._last:
            self._snapshots.checkpoint.write(task, steps, self._last, state)

    def kept(self, task: int) -> Kept | None:
        """Where an earlier attempt was inside a first-order phase, if that is kept."""
        return self._snapshots.checkpoint.read(task, list(self._past)) if self._snapshots else None

    def load(self, task: int, leaves: ModuleLeaves) -> None:
        """The weights at the end of a first-order phase that an earlier attempt, or a fork's parent, finished."""
        if self._snapshots:
            self._snapshots.load(task, leaves)

    def trained(self, fingerprint: str) -> None:
        """The training of a stage is over, or there was none, and weights of this content are left."""
        self.weights.append(fingerprint)

    @property
    def sampled(self) -> bool:
        """Whether the step that comes next is to be `measured`, too, though it is one of the past."""
        return False

    def measured(self, task: int, step: int, result: StepResult) -> None:
        """What a step of the past gives now, measured where it was taken, on the same batch."""

    def look(self, learner: Any, task: Any) -> Callable[[int], None] | None:
        """What is to be called after each step of a stage with the number of those taken, for who looks on."""
        return None

    @property
    def due(self) -> bool:
        """Whether the step taken last is one after which somebody looks."""
        return bool(self.every) and self.steps % self.every == 0

    @property
    def recent(self) -> float:
        """The mean loss of the last `every` steps, those of earlier attempts too."""
        return sum(self._losses) / len(self._losses)

    def _tell(self, task: int, step: int, lr: float, e: Entry) -> None:
        self._last, self.task = e, task
        self.forwards += e.forwards
        self.steps += 1
        self._losses.append(e.loss)
        self.sink.step(Step(task, step, e.loss, lr, self.forwards, e.seconds))
        for i, (seed, c) in enumerate(zip(e.seeds, e.coefficients, strict=True)):
            self.sink.query(Query(task, step, i, seed, c, e.accepted))
