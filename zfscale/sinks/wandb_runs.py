"""Where W&B's runs lie among the results, which of them are uploaded, and how the run of an earlier attempt goes.

wandb/AB/wandb/offline-run-DATE_TIME-ID/run-ID.wandb    the run of trial ID, which begins with AB; `run-...` if online
                                     .../run-ID.wandb.synced    there once it is uploaded, as `wandb sync` has it

W&B itself adds the second `wandb`. A folder of all runs would have to be looked through for every trial that starts,
to find what a killed attempt left. Results of before have them in one folder, `wandb/offline-run-...`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zfscale.results.layout import WANDB

OF_SWEEP = "sweep"  # how the id begins of the run of a whole sweep; trials' ids are hexadecimal
RUN = re.compile(r"(offline-)?run-\d+_\d+-(?P<trial>[^-]+)(-\d+)?")


@dataclass(frozen=True)
class Run:
    """A run on disk.

    >>> Run(Path("r/wandb/ab/wandb/offline-run-20260101_000000-abc"), "abc").log.name
    'run-abc.wandb'
    """

    directory: Path
    trial_id: str

    @property
    def log(self) -> Path:
        """All that the run was told, as W&B writes it."""
        return self.directory / f"run-{self.trial_id}.wandb"

    @property
    def of_sweep(self) -> bool:
        """Whether it is the run of the whole sweep."""
        return self.trial_id.startswith(OF_SWEEP)

    @property
    def mark(self) -> Path:
        """The file that says that the run is uploaded."""
        return mark_of(self.log)


def mark_of(log: Path) -> Path:
    """The mark of a run's log."""
    return log.with_name(f"{log.name}.synced")


def root_of(results: Path, trial_id: str) -> Path:
    """What W&B is given as the root directory of a trial's run."""
    return results / WANDB / trial_id[:2]


def runs_on_disk(results: Path) -> list[Run]:
    """All runs, offline ones first, in order of time of each folder."""
    return [run for folder in _folders(results) for run in _runs(folder) if run.log.exists()]


def remove_runs(results: Path, trial_id: str) -> None:
    """Remove the runs of a trial: they are of attempts before this one."""
    for folder in (results / WANDB, root_of(results, trial_id) / WANDB):
        for run in _runs(folder):
            if run.trial_id == trial_id:
                shutil.rmtree(run.directory, ignore_errors=True)


def _folders(results: Path) -> list[Path]:
    top = results / WANDB
    return [top, *(folder / WANDB for folder in sorted(top.iterdir()))] if top.is_dir() else []


def _runs(folder: Path) -> Iterator[Run]:
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        if found := RUN.fullmatch(name):
            yield Run(folder / name, found["trial"])
