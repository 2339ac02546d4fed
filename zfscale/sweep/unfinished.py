"""Trials that our own storage kept from their end: they have no row, and the next run takes them up again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ray import tune

from zfscale.sweep.unpickled import Unpickled

UNFINISHED = "unfinished"  # a status that a worker answers with, and that is in no table
REFUSED = "zfscale.errors.StorageError: "  # in the traceback of a worker that cannot answer


class Unfinished(Unpickled, tune.Callback):
    """Says on stderr why trials are left unfinished, once for each reason."""

    def __init__(self) -> None:
        self.told: set[str] = set()

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """A worker has given a trial up."""
        if result.get("status") == UNFINISHED:
            self._tell(result["why"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A worker of several ranks has, and has ended with it."""
        if REFUSED in (told := failures(trial)):
            self._tell(told.rpartition(REFUSED)[2].partition("\n")[0])

    def _tell(self, why: str) -> None:
        if why not in self.told:
            self.told.add(why)
            print(f"{why}; trials are left unfinished", file=sys.stderr)


def failures(trial: Any) -> str:
    """What Tune was told each time that the trial's worker died: it keeps all of it in one file."""
    return Path(trial.error_file).read_text() if trial.error_file and Path(trial.error_file).exists() else ""
