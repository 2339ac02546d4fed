"""The process that has the sweep's own run of W&B, as the driver sees it: it is told how the sweep stands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zfscale
from zfscale.results.layout import PAGE, PICTURES, WANDB, note_of
from zfscale.results.missing import root
from zfscale.sinks.wandb_sweep import best_of
from zfscale.spec import Sweep
from zfscale.sweep.node import where

if TYPE_CHECKING:
    from zfscale.sweep.progress import Progress

TELL_EVERY = 30.0  # seconds
WAIT = 150.0  # seconds for it to upload, more than W&B is given
WAIT_INTERRUPTED = 1.0  # it ends by itself, soon after


class WandbProcess:
    """Starts the process when it is told something first, so that a sweep that cannot start has no run.

    `complete` says, by its end, that the sweep has no trials left and a report.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.complete, self._wanted = False, sweep.spec.output.wandb.mode != "disabled"
        self.sweep, self.begun, self._told, self._row = sweep, time.monotonic(), 0.0, dict[str, Any]()
        self._process: subprocess.Popen[str] | None = None

    def tell(self, display: Progress) -> None:
        """How the sweep stands."""
        if not self._wanted:
            return
        self._row = {"minutes": (time.monotonic() - self.begun) / 60, **display.counts}
        if display.eta and display.running:
            self._row["eta_minutes"] = display.eta.seconds / 60
        if display.best:
            self._row |= {best_of(display.search.metric): display.best[0], "best_trial": display.best[1]}
        if not self._told or time.monotonic() - self._told > TELL_EVERY:
            self._told = time.monotonic()
            self._write(self._row)

    def close(self) -> None:
        """The last word, with what of the report is to be seen, if there is one; then the process ends."""
        if self._process is None:
            return
        there, shown = root(self.sweep), list[str]()
        with suppress(OSError):  # a bucket that does not answer now
            shown = [name for name in (*PICTURES, PAGE) if self.complete and there.exists(name)]
        self._write({**self._row, "shown": shown})
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(WAIT if self.complete else WAIT_INTERRUPTED)
        with suppress(OSError):
            if self._process.poll() and (note := there.read(note_of(WANDB))):
                print(f"warning: {note.decode()}", file=sys.stderr)

    def _write(self, word: dict[str, Any]) -> None:
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, and has said why; or reads nothing now: a later word says it all
            os.write(self._process.stdin.fileno(), f"{json.dumps(word)}\n".encode())

    def _start(self) -> subprocess.Popen[str]:
        """In a session of its own: Ctrl-C is the driver's. Its directory holds no module of the user's."""
        process = subprocess.Popen(
            [sys.executable, "-m", "zfscale.sinks.wandb_sweep"],
            cwd=Path(zfscale.__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        place, name = where(self.sweep)
        about = {"root": f"{place}/{name}", "sweep": name, "config": self.sweep.document.data}
        assert process.stdin is not None
        with suppress(OSError):
            options = self.sweep.spec.output.wandb.model_dump()
            process.stdin.write(f"{json.dumps({**about, 'options': options}, default=str)}\n")
            process.stdin.flush()
        os.set_blocking(process.stdin.fileno(), False)  # a line of fewer than 4,096 bytes goes as a whole or not at all
        return process


@contextmanager
def wandb_process(sweep: Sweep) -> Iterator[WandbProcess]:
    """The process of a sweep, which ends with what happens inside."""
    process = WandbProcess(sweep)
    try:
        yield process
    finally:
        process.close()
