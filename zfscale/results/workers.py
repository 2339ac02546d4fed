"""What the workers of a run say while they work: which trial each of them runs, and how far it has come.

A worker has one small file, which a thread of its own replaces every few seconds, so that a trial costs nothing more
however short it is. The files go when the run ends; those of a run that was killed are known by its id.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from zfscale.errors import one_line
from zfscale.metrics.catalogue import FORWARDS, SECONDS
from zfscale.records import Eval, Outcome, Query, Step
from zfscale.results.layout import WORKERS, worker_file
from zfscale.results.storage import Directory, Place, storage

SAY_EVERY = 5.0  # seconds between two words of a worker
BUCKET_EVERY = 30.0  # where each is an upload


@dataclass(frozen=True)
class Word:
    """What a worker says of the trial that it runs.

    Args:
        trial_id: The trial.
        label: The trial in a few words.
        spec: Its spec, as JSON.
        run: The id of the run, as in the lock.
        node: Where the worker is.
        pid: Its process there.
        attempt: Which start of the trial this is.
        started: When that was, in seconds since 1970.
        said: When this was said.
        stage: The last stage of which a measure is known; 0 before the first.
        task: The task that is trained, or was last; 0 before the first step.
        step: The last step within the task.
        loss: That step's.
        forwards: Up to that step, since the trial began.
        seconds: Likewise.
        price: Seconds that a forward takes; of the trial's first step, which takes longer, nothing follows.
        moves: Grows with every step and every measure: where it does not, the trial does not get on.
    """

    trial_id: str
    label: str = ""
    spec: str = ""
    run: str = ""
    node: str = ""
    pid: int = 0
    attempt: int = 1
    started: float = 0.0
    said: float = 0.0
    stage: int = 0
    task: int = 0
    step: int = 0
    loss: float | None = None
    forwards: int = 0
    seconds: float = 0.0
    price: float | None = None
    moves: int = 0

    @property
    def elapsed(self) -> float:
        """Seconds of this attempt until this was said."""
        return max(self.said - self.started, 0.0)


class Speaker:
    """A sink that keeps a trial's last step, and a thread that says it: one of each in a worker.

    Args:
        root: The results.
        run: The id of the run.
        node: The name of this node.
    """

    def __init__(self, root: Place, run: str, node: str) -> None:
        self._there, self._file = storage(root), worker_file(node, os.getpid())
        self._about = Word("", run=run, node=node, pid=os.getpid())
        self._first: Step | None = None
        self._last: Step | None = None
        self._stage = self._moves = 0
        self._tick: Callable[[], None] | None = None
        self._ticking = threading.Lock()
        every = SAY_EVERY if isinstance(self._there, Directory) else BUCKET_EVERY
        threading.Thread(target=self._talk, args=(every,), daemon=True).start()

    @contextmanager
    def of(
        self, trial_id: str, label: str, attempt: int, spec: str = "", tick: Callable[[], None] | None = None
    ) -> Iterator[dict[str, float | int | None]]:
        """The trial that the worker runs inside; at its end, what is given has what its steps took.

        `tick` is called with every word, by another thread, but never after the end. Its errors are warnings.
        """
        self._first, self._last, self._stage, self._moves = None, None, 0, 0
        about: dict[str, Any] = {"trial_id": trial_id, "label": label, "attempt": attempt, "spec": spec}
        self._about = replace(self._about, **about, started=time.time())
        taken, self._tick = dict[str, float | int | None](), tick
        try:
            yield taken
        finally:
            self.rest()
            if self._last:
                taken |= {FORWARDS: self._last.forwards, SECONDS: self._last.seconds}
            self._about = replace(self._about, trial_id="")

    def rest(self) -> None:
        """No more calls of `tick`; one that is under way is waited for."""
        with self._ticking:
            self._tick = None

    def step(self, record: Step) -> None:
        """One training step."""
        self._first, self._last = self._first or record, record
        self._moves += 1

    def query(self, record: Query) -> None:
        """Nothing of it is kept."""

    def eval(self, record: Eval) -> None:
        """One metric after a stage."""
        self._stage = record.stage
        self._moves += 1

    def close(self, outcome: Outcome) -> None:
        """The trial has ended, which its row says."""

    def word(self) -> Word:
        """What is to be said now; of no trial between two."""
        first, last = self._first, self._last
        now = replace(self._about, said=time.time(), stage=self._stage, moves=self._moves)
        if first is None or last is None:
            return now
        steps = {name: getattr(last, name) for name in ("task", "step", "loss", "forwards", "seconds")}
        made = last.forwards - first.forwards
        return replace(now, **steps, price=(last.seconds - first.seconds) / made if made else None)

    def _talk(self, every: float) -> None:
        while True:
            time.sleep(every)
            word = self.word()
            try:
                if word.trial_id:
                    self._there.write(self._file, json.dumps(asdict(word)).encode())
                with self._ticking:
                    if self._tick:
                        self._tick()
            except Exception as error:  # it is for who looks on: the trial goes on
                logging.getLogger(__name__).warning("%s/%s: %s", self._there, self._file, one_line(error))


def words(root: Place, run: str | None = None) -> list[Word]:
    """What the workers of a run (of any, if it is None) said last, one a trial: of its last attempt."""
    there, found = storage(root), dict[str, Word]()
    for name in there.names(WORKERS):
        word = _word(there.read(name))
        if word is None or run not in (None, word.run):
            continue
        other = found.get(word.trial_id)
        if other is None or (other.attempt, other.said) < (word.attempt, word.said):
            found[word.trial_id] = word
    return sorted(found.values(), key=lambda word: word.started)


def _word(data: bytes | None) -> Word | None:
    """None for a file that has just gone, or that is not a worker's."""
    try:
        known = json.loads(data or b"")
        return Word(**{name: known[name] for name in Word.__dataclass_fields__})
    except (ValueError, LookupError, TypeError):
        return None
