"""What W&B's service says of the runs that it uploaded, in a log of a JSON object a line.

A line about a run has its path. What keeps a run from being uploaded at all is an error without one; and if a file
cannot even be opened, no run of the command is begun.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zfscale.results.redact import redact
from zfscale.sinks.wandb_runs import Run, mark_of

BEGUN = "runsync: starting to read"
# W&B keeps a table twice: as a file of the run, and as an artifact, which it makes from a file whose absolute path it
# noted. Where results were copied to, that is not there: only the artifact is missing.
ARTIFACT = "artifact"
# A request that was refused. Whoever needed an answer says so in a line of its own.
ANSWER = "api:"


@dataclass
class Log:
    """The errors of one command.

    Args:
        of_runs: Path of a run's log -> what is missing of the run on the server.
        artifacts: Path -> why its tables are no artifacts; they are files of the run.
        others: Errors that name no run.
        begun: Whether any run was begun.
    """

    of_runs: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    begun: bool = False

    @classmethod
    def of(cls, directory: Path) -> Log:
        """The log of a command that ran with `WANDB_DIR` at this directory; an empty one if it wrote none."""
        log = cls()
        for file in sorted(directory.glob("wandb/logs/debug-sync*.log")):
            for record in _records(file):
                log.begun |= record.get("msg") == BEGUN
                if _fault(record):
                    log._error(record)
        return log

    def _error(self, record: dict[str, Any]) -> None:
        text, path = _text(record), record.get("sync_path")
        if path is None:
            self.others.append(text)
        else:
            (self.artifacts if ARTIFACT in text.lower() else self.of_runs).setdefault(path, text)

    @property
    def blocked(self) -> bool:
        """Whether one file kept the command from all."""
        return bool(self.others) and not self.begun


def unmark(log: Log) -> None:
    """Remove the marks of runs that are not whole on the server."""
    for path in log.of_runs:
        mark_of(Path(path)).unlink(missing_ok=True)


def causes(log: Log, runs: Sequence[Run], screen: str) -> dict[Run, str]:
    """Why runs are not uploaded, of those that are not."""
    last = next((line for line in reversed(screen.splitlines()) if line.strip()), "it said nothing")
    general = " or ".join(dict.fromkeys(log.others)) or f"wandb sync ended: {last}"
    return {run: _alike(log.of_runs.get(str(run.log), general), run) for run in runs if not run.mark.exists()}


def lacking(log: Log, runs: Sequence[Run]) -> dict[Run, str]:
    """Why tables are no artifacts, of runs that are uploaded."""
    found = {run: log.artifacts.get(str(run.log)) for run in runs if run.mark.exists()}
    return {run: _alike(text, run) for run, text in found.items() if text}


def faults(file: Path) -> list[str]:
    """Why an online run is not whole on the server, as its own log has it; none if it is, or if there is no log."""
    found = [_text(record) for record in _records(file) if _fault(record)] if file.exists() else []
    return [text for text in found if ARTIFACT not in text.lower()]


def _fault(record: dict[str, Any]) -> bool:
    fault = str(record.get("level")).startswith("ERROR")  # ERROR+4 is fatal
    return fault and not str(record.get("msg")).startswith(ANSWER)


def _text(record: dict[str, Any]) -> str:
    return ": ".join(str(record[key]) for key in ("msg", "error") if record.get(key))


def _records(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # the last one of a process that was killed
            continue
        if isinstance(record, dict):
            yield record


def _alike(text: str, run: Run, limit: int = 300) -> str:
    """The text on one line, without what differs between runs and without secrets."""
    text = text.replace(str(run.directory), "DIR").replace(run.trial_id, "ID")
    return redact(" ".join(text.split()))[:limit]


def forget(directory: Path) -> None:
    """Remove what the command wrote."""
    shutil.rmtree(directory, ignore_errors=True)
