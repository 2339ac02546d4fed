"""A command as its user sees it from outside: how long it takes, and how much memory its process has meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zfscale.errors import ZfscaleError

EVERY = 0.2  # seconds between looks at the memory
STATM, PAGE = "/proc/{}/statm", os.sysconf("SC_PAGE_SIZE")


def module_path() -> str:
    """`PYTHONPATH` of a child that runs in another folder, so that it finds what this process does."""
    return os.pathsep.join(path or os.getcwd() for path in sys.path)


@dataclass
class Watched:
    """A command that has ended, with times as `time.time` has them."""

    began: float
    ended: float = 0.0
    looks: list[tuple[float, int]] = field(default_factory=list)  # when, resident bytes
    counts: list[tuple[float, int]] = field(default_factory=list)  # when, files in the folder that was counted

    @property
    def seconds(self) -> float:
        """From start to end."""
        return self.ended - self.began

    def memory(self, when: float) -> int:
        """Resident bytes of the process at the last look until then."""
        return self.looks[max(bisect_right(self.looks, (when, 2**63)) - 1, 0)][1]


def watch(command: Sequence[str], folder: Path, environment: Mapping[str, str], counted: Path | None = None) -> Watched:
    """Run a command in a folder, to its end, and count the files of another meanwhile.

    Raises:
        ZfscaleError: It failed; with its last line.
    """
    log = folder / "log.txt"
    with log.open("wb") as told:
        watched = Watched(time.time())
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=told, stderr=subprocess.STDOUT) as process:
            try:
                _look(process, watched, counted)
            except BaseException:
                process.terminate()  # Ray's processes end with it
                raise
    if process.returncode:
        last = log.read_text(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
        raise ZfscaleError(f"{' '.join(command[1:])}: {last[-1]}")
    return watched


def _look(process: subprocess.Popen[bytes], watched: Watched, counted: Path | None) -> None:
    """Note the memory and the files now and then until the process ends."""
    statm = Path(STATM.format(process.pid))
    while process.poll() is None:
        if pages := int(statm.read_text().split()[1]):  # 0 of a process that has just ended
            watched.looks.append((time.time(), pages * PAGE))
        if counted is not None and counted.is_dir():
            watched.counts.append((time.time(), len(os.listdir(counted))))
        time.sleep(EVERY)
    process.wait()
    watched.ended = time.time()
