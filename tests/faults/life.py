"""A sweep in processes of its own, which can be found by their part, disturbed, and started again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.dataset as ds

from tests.faults import sweeps
from zfscale import spec
from zfscale.results.layout import LEDGERS, TRIALS
from zfscale.results.proposals import known
from zfscale.zo.ledger import entries

MARK = "ZFSCALE_FAULTS_LIFE"  # a variable that all processes of a life inherit, by which orphans are found
PATIENCE = 600.0  # seconds for a command to end by itself
BEGINNING = (
    15.0  # seconds in which a command starts, and in which it is disturbed where it has nothing to catch up with
)
RUNS = 12  # of the command in a row, until the sweep is complete
DRIVER, WORKER, RANK, NODE = "driver", "worker", "rank", "node"
PARTS = {WORKER: "ray::ResourceTrainable", RANK: "ray::Rank", NODE: "raylet/raylet"}  # in their command lines


class Life:
    """One results directory, from the first command to the complete sweep.

    Args:
        folder: Where the sweep file and the results are.
        setting: A key of `sweeps.SETTINGS`.
        sizes: Trial id -> how many steps it takes undisturbed, which says how far the sweep is.
        draw: Where chance comes from.
    """

    def __init__(self, folder: Path, setting: str, sizes: dict[str, int], draw: random.Random) -> None:
        self.folder, self.sizes, self.draw = folder, sizes, draw
        self.results = folder / "results" / sweeps.NAME
        self.sets: list[str] = []  # of the command line
        self.variables: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.file = sweeps.write(folder, setting)
        self.took: list[float] = []  # seconds from a signal to the end of the command
        self.said = folder.with_name(f"{folder.name}.txt")  # not on the disk that may be full
        self.said.touch()

    def command(self, *more: str) -> subprocess.Popen[bytes]:
        """Start the command, its words appended to a file; in a process group of its own."""
        words = [sys.executable, "-m", "zfscale", "run", self.file.name, *more]
        for each in self.sets:
            words += ["--set", each]
        path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, MARK: str(self.folder), **self.variables}
        with open(self.said, "ab") as said:
            return subprocess.Popen(
                words, cwd=self.folder, env=environment, stdout=said, stderr=said, start_new_session=True
            )

    @property
    def runs(self) -> bool:
        """Whether the command goes on."""
        return self.process is not None and self.process.poll() is None

    def begin(self, *more: str) -> subprocess.Popen[bytes]:
        """The command that goes on, or one that is started now."""
        if self.process is None or self.process.poll() is not None:
            self.process = self.command(*more)
        return self.process

    def until(self, point: float) -> bool:
        """Run the command until the sweep has got so far, a share in [0, 1); False if it has ended before."""
        total, begins = sum(self.sizes.values()), not self.runs
        process = self.begin()
        while self.steps() < point * total:
            if process.poll() is not None:
                return False
            begins = False
            time.sleep(0.02)
        deadline = time.monotonic() + self.draw.random() * (BEGINNING if begins else 0.3)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return process.poll() is None

    def steps(self) -> int:
        """How many steps were taken by trials that ended and by those that run."""
        done = self.ended()
        found = sum(self.sizes.get(name, 0) for name in done)
        with suppress(FileNotFoundError, NotADirectoryError):
            for file in (self.results / LEDGERS).iterdir():
                if file.name not in done:
                    with suppress(OSError):
                        found += sum(1 for _ in entries(file.read_bytes()))
        return found

    def ended(self, status: str | None = None) -> set[str]:
        """Ids of the trials that have a row, of a status or of any."""
        for _ in range(50):
            try:
                rows = ds.dataset(self.results / TRIALS, format="parquet").to_table(columns=["trial_id", "status"])
                return {row["trial_id"] for row in rows.to_pylist() if status in (None, row["status"])}
            except FileNotFoundError:
                if not (self.results / TRIALS).exists():
                    return set()
            except (OSError, ValueError):  # torn, or replaced while it was read
                time.sleep(0.1)
        return set()

    def find(self, part: str) -> list[psutil.Process]:
        """The processes of a part that live, in order of their ids."""
        if part == DRIVER:
            return [psutil.Process(self.process.pid)] if self.process is not None and self.runs else []
        return [each for each in self.family() if PARTS[part] in " ".join(_words(each))]

    def one(self, part: str, seconds: float = 60.0) -> psutil.Process | None:
        """One of them by chance, once there is one; None if the command ends before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.runs:
            if found := self.find(part):
                return self.draw.choice(found)
            time.sleep(0.05)
        return None

    def family(self) -> list[psutil.Process]:
        """All processes of this life, orphans as well."""
        found = []
        for each in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if each.environ().get(MARK) == str(self.folder) and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each)
        return sorted(found, key=lambda each: each.pid)

    def wait(self) -> int:
        """Until the command has ended; its exit status."""
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        """Kill whatever is left."""
        for each in self.family():
            with suppress(psutil.Error):
                each.send_signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def to_the_end(self, failing: set[str]) -> None:
        """Run the same command until the sweep is complete, trials that failed and should not again."""
        for _ in range(RUNS):
            mine = {trial.trial_id for trial in known(spec.load(self.file)).trials}
            undone = mine - self.ended() or self.ended("failed") - failing
            if not self.runs and not undone:
                return
            self.begin(*([] if mine - self.ended() else ["--retry-failed"]))
            status = self.wait()
            assert status in (0, 1, 2, 130), f"the command ended with {status}\n{self.words()}"
        raise AssertionError(f"not complete after {RUNS} runs\n{self.words()}")

    def words(self) -> str:
        """What the commands of this life have said, the end of it."""
        return self.said.read_text(errors="replace")[-6000:]


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
