"""What an error of a sink means for its trial: nothing, or that the trial is left to the next run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from zfscale.errors import StorageError, one_line
from zfscale.records import Eval, Outcome, Query, Sink, Step
from zfscale.results.layout import note_of
from zfscale.results.redact import redact
from zfscale.results.storage import Place, storage
from zfscale.sinks.about import About
from zfscale.sinks.catalogue import Chosen


class View:
    """A sink that may break while its trial goes on: after its first error, a warning, it is told nothing."""

    def __init__(self, chosen: Chosen, about: About) -> None:
        self.name, self._label, self._root = chosen.name, chosen.label, about.root
        self._shows = chosen.facts.shows
        self._sink: Any = None
        self._sink = self._call(chosen.make, about)

    def step(self, record: Step) -> None:
        """One training step."""
        self._send(lambda sink: sink.step(record))

    def query(self, record: Query) -> None:
        """One query of a zeroth-order step."""
        self._send(lambda sink: sink.query(record))

    def eval(self, record: Eval) -> None:
        """One metric after a stage."""
        self._send(lambda sink: sink.eval(record))

    @property
    def url(self) -> str | None:
        """Where the sink shows the trial, if it does and has not broken."""
        return getattr(self._sink, "url", None)

    def close(self, outcome: Outcome) -> None:
        """The end of the trial."""
        self._send(lambda sink: sink.close(outcome))
        self._sink = None

    def _send(self, act: Callable[[Sink], None]) -> None:
        if self._sink is not None:
            self._call(act, self._sink)

    def _call(self, act: Callable[[Any], Any], given: Any) -> Any:
        try:
            return act(given)
        except Exception as error:
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        self._sink = None
        warn(self._root, self.name, f"{self._label} stopped for this trial, which goes on", error)


class Commit(View):
    """A sink that a trial needs: an error of it is one of our storage, which leaves the trial to the next run."""

    def show(self) -> None:
        """Let readers see what it has, from any thread, if it keeps anything back. Errors: whatever it raises."""
        if self._shows and self._sink is not None:
            self._sink.show()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, StorageError):
            raise error
        raise StorageError(f"{self._label}: {one_line(error)}") from error


def warn(root: Place, sink: str, message: str, error: Exception) -> None:
    """Say what is wrong with a sink, in the worker's log and in a note that the driver of the sweep shows."""
    text = redact(f"{message}: {one_line(error)}")
    logging.getLogger(__name__).warning("%s", text)
    with suppress(OSError):
        storage(root).write(note_of(sink), text.encode())
