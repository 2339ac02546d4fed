"""Uploads a sweep's runs to Weights & Biases that are not there: `wandb sync` on batches, in several processes.

W&B's own program uploads, tries again what the server refused, and marks every run that it is done with. A run's id is
its trial's and its lines are numbered, so what is sent again replaces what is there. Only runs of trials that have
ended are taken, and the sweep's own while nothing drives it.

NOTE: `wandb sync` marks a run as synced even if its upload failed, which only its log says. So every batch has a log of
its own, and the mark of a run with an error in it is removed. A sync that is killed leaves its logs to the next one.
W&B's process, which was seen not to end where its parent was killed, is on a leash.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

from zfscale.errors import ZfscaleError
from zfscale.results.layout import SYNC, WANDB
from zfscale.results.lock import holder
from zfscale.results.storage import Directory, Place, storage
from zfscale.results.tables import statuses
from zfscale.sinks import leash
from zfscale.sinks.wandb_log import Log, causes, forget, lacking, unmark
from zfscale.sinks.wandb_runs import Run, runs_on_disk

BATCH = 100  # runs of one process, which takes a second to start
AT_ONCE = 16  # runs of one process that are uploaded at a time: each waits for the server most of the time
# Eight minutes of a server that does not answer; W&B's own limits are 20 minutes a query and a week for a run's lines.
PATIENCE = {f"WANDB__{part}_RETRY_MAX": "12" for part in ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER")}
OF_A_RUN = ("WANDB_MODE", "WANDB_SERVICE", "WANDB_SILENT", "WANDB_QUIET")  # what a user may have set for training


@dataclass
class Synced:
    """What came of it.

    Args:
        before: Runs that were marked already.
        running: Runs of trials that have not ended.
        done: Runs that were uploaded.
        failed: Cause -> trials of which the run was not.
        lacking: Trial of which a table is a file of the run but no artifact -> why.
    """

    before: int = 0
    running: int = 0
    done: int = 0
    failed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    lacking: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"failed: {_of(trials)}: {cause}" for cause, trials in self.failed.items()]
        if self.lacking:
            cause = next(iter(self.lacking.values()))
            lines += [f"warning: {_of([*self.lacking])} with tables as files, but not as artifacts: {cause}"]
        parts = [f"synced: {self.done} run{'s' * (self.done != 1)}"]
        parts += [f"{self.before} synced before"] if self.before else []
        parts += [f"{sum(map(len, self.failed.values()))} failed"] if self.failed else []
        parts += [f"{self.running} of trials that have not ended"] if self.running else []
        return "\n".join([*lines, ", ".join(parts)])


def _of(trials: Sequence[str]) -> str:
    return f"{len(trials)} run{'s' * (len(trials) != 1)} (such as {trials[0]})"


def sync(results: Place, processes: int = 2) -> Synced:
    """Upload every run of a trial that has ended, unless it is marked as uploaded.

    Args:
        results: The directory of a sweep.
        processes: How many upload at a time.

    Raises:
        ZfscaleError: There are no runs, or no API key that W&B takes.
    """
    there = storage(results)
    if not isinstance(there, Directory):
        raise ZfscaleError(f"{results}: sync reads a directory; copy the folder {WANDB} of the bucket to one first")
    if not runs_on_disk(there.root):
        raise ZfscaleError(f"{results}: has no runs of W&B in {WANDB}")
    told = Synced()
    with _alone(there) as lock:
        for left in (path for path in (there.root / SYNC).iterdir() if path.is_dir()):
            unmark(Log.of(left))
            forget(left)
        if runs := _ready(there, told):
            from zfscale.sinks.wandb_start import sign_in

            sign_in()
            _upload(there, runs, told, processes, lock)
    return told


def _ready(there: Directory, told: Synced) -> list[Run]:
    """The runs that are to be uploaded; the others are counted."""
    ended = statuses(there)  # before a trial is tried again, its row is removed
    runs = runs_on_disk(there.root)
    unmarked = [run for run in runs if not run.mark.exists()]
    over = (held := holder(there)) is None or not held.alive
    ready = [run for run in unmarked if (over if run.of_sweep else run.trial_id in ended)]
    told.before, told.running = len(runs) - len(unmarked), len(unmarked) - len(ready)
    return ready


@contextmanager
def _alone(there: Directory) -> Iterator[int]:
    """Wait until no other sync uploads these runs, nor a process that a killed one has left."""
    name = f"{SYNC}/lock"
    with there.local(name).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{there}: another sync is uploading these runs; waiting for it", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _upload(there: Directory, runs: list[Run], told: Synced, processes: int, lock: int) -> None:
    """Upload in batches. After Ctrl-C no further batch begins."""
    size = min(BATCH, -(-len(runs) // processes))
    batches = [runs[at : at + size] for at in range(0, len(runs), size)]
    pool, begun = ThreadPoolExecutor(processes), time.monotonic()
    try:
        done = as_completed([pool.submit(partial(_batch, there.root / SYNC, batch, told, lock)) for batch in batches])
        for each in done:
            told.done += each.result()
            rate = told.done / (time.monotonic() - begun)
            print(f"synced {told.done} of {len(runs)} runs, {rate:.1f} a second", file=sys.stderr)
    finally:
        pool.shutdown(cancel_futures=True)


def _batch(folder: Path, runs: list[Run], told: Synced, lock: int) -> int:
    """Upload some runs, or each half of them where one file keeps W&B from all; how many were uploaded."""
    directory = folder / uuid4().hex
    directory.mkdir()
    screen = _wandb_sync(directory, runs, lock)
    log = Log.of(directory)
    unmark(log)
    forget(directory)
    if log.blocked and len(runs) > 1:
        halves = (runs[: len(runs) // 2], runs[len(runs) // 2 :])
        return sum(_batch(folder, half, told, lock) for half in halves)
    failed = causes(log, runs, screen)
    told.lacking |= {run.trial_id: cause for run, cause in lacking(log, runs).items()}
    for run, cause in failed.items():
        told.failed[cause].append(run.trial_id)
    return len(runs) - len(failed)


def _wandb_sync(directory: Path, runs: list[Run], lock: int) -> str:
    """Run W&B's program, which writes to the directory; what it printed. It holds the lock, and ends with us."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_A_RUN}
    command = [
        sys.executable,
        leash.__file__,
        sys.executable,
        "-m",
        "wandb",
        "sync",
        "--include-online",
        "-n",
        str(AT_ONCE),
        *(str(run.log) for run in runs),
    ]
    with subprocess.Popen(
        command,
        env={**PATIENCE, **environment, "WANDB_DIR": str(directory)},
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(lock,),
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        return process.stdout.read()
