"""What can happen to a sweep: each kind is a function that does it to a life, now, and says whether it could."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.faults.disk import disk_full, file_system_gone, read_only, write_error
from tests.faults.life import DRIVER, NODE, RANK, WORKER, Life
from tests.faults.torn import TORN, tear

ROOM = 3 << 30  # bytes that a sweep may take beyond what is taken when it begins, before Ray's monitor kills
ALL = ("grid", "asha", "ranks", "pbt")
GRANTED = 120.0  # seconds for a worker to take up a wish
NO_SERVER = "http://127.0.0.1:9"  # nothing listens there


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Args:
        act: Does it.
        settings: In which it can happen.
        disk: Whether the life needs a file system of its own.
        sets: Options that its life is run with.
        prepare: What its life needs besides.
    """

    act: Callable[[Life], bool]
    settings: Sequence[str] = ALL
    disk: bool = False
    sets: tuple[str, ...] = ()
    prepare: Callable[[Life], None] | None = None


def _kill(part: str) -> Callable[[Life], bool]:
    def act(life: Life) -> bool:
        return _signal(life.one(part), signal.SIGKILL)

    return act


def _kill_run(part: str) -> Callable[[Life], bool]:
    """Without this part the command ends."""

    def act(life: Life) -> bool:
        killed = _kill(part)(life)
        if killed:
            life.wait()
        return killed

    return act


def _kill_all(life: Life) -> bool:
    killed = [_signal(each, signal.SIGKILL) for each in life.family()]
    life.wait()
    return any(killed)


def _pause(part: str) -> Callable[[Life], bool]:
    def act(life: Life) -> bool:
        process = life.one(part)
        stopped = _signal(process, signal.SIGSTOP)
        time.sleep(life.draw.uniform(0.5, 8))
        return _signal(process, signal.SIGCONT) and stopped

    return act


def _stop_for_good(life: Life) -> bool:
    """A worker that never goes on is ended as one without progress."""
    process = life.one(WORKER)
    stopped, deadline = _signal(process, signal.SIGSTOP), time.monotonic() + GRANTED
    while stopped and process is not None and process.is_running() and life.runs and time.monotonic() < deadline:
        time.sleep(0.2)
    return stopped


def _tell(number: signal.Signals, group: bool = False, times: int = 1) -> Callable[[Life], bool]:
    """Signals by which the run ends in good order."""

    def act(life: Life) -> bool:
        if not life.runs or life.process is None:
            return False
        for _ in range(times):
            with suppress(ProcessLookupError):
                os.killpg(life.process.pid, number) if group else life.process.send_signal(number)
            time.sleep(0.3 if times > 1 else 0)
        started = time.monotonic()
        life.wait()
        life.took.append(time.monotonic() - started)
        return True

    return act


def _tear(what: str) -> Callable[[Life], bool]:
    """All are killed, and the file that was written last is cut, as where a machine loses power."""

    def act(life: Life) -> bool:
        _kill_all(life)
        return tear(life, what)

    return act


def _wish(what: str) -> Callable[[Life], bool]:
    """The next loss that is asked for raises, hangs or takes memory without end."""

    def act(life: Life) -> bool:
        wish, granted = life.folder / "wish", life.folder / "granted"
        granted.unlink(missing_ok=True)
        wish.write_text(what)
        deadline = time.monotonic() + GRANTED
        while life.runs and not granted.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        wish.unlink(missing_ok=True)
        return granted.exists()

    return act


def _little_memory(life: Life) -> None:
    memory = psutil.virtual_memory()
    share = (memory.total - memory.available + ROOM) / memory.total
    life.variables |= {"RAY_memory_usage_threshold": f"{share:.4f}", "RAY_memory_monitor_refresh_ms": "100"}


def _second_driver(life: Life) -> bool:
    """The same command beside the one that runs is refused."""
    if not life.runs:
        return False
    other = life.command()
    deadline = time.monotonic() + GRANTED
    while other.poll() is None and life.runs and time.monotonic() < deadline:
        time.sleep(0.1)
    if not life.runs:  # the first has ended, and the second may take over
        life.process = other
        return False
    assert other.wait(GRANTED) == 2, life.words()
    return True


def _away(life: Life) -> None:
    """W&B online, with a server that does not answer."""
    life.variables |= {"WANDB_BASE_URL": NO_SERVER, "WANDB_API_KEY": "0" * 40}


def _unreachable(life: Life) -> bool:
    with socket.socket() as there:
        there.settimeout(1.0)
        assert there.connect_ex(("127.0.0.1", 9)) != 0, "something listens at the discard port"
    return life.runs


def _signal(process: psutil.Process | None, number: signal.Signals) -> bool:
    if process is None:
        return False
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def mountable() -> bool:
    """Whether file systems can be mounted here, for which one must be root."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


IDLE = ("resources.max_idle_seconds=25",)
KINDS: dict[str, Kind] = {
    "kill worker": Kind(_kill(WORKER)),
    "kill rank": Kind(_kill(RANK), ("ranks",)),
    "kill driver": Kind(_kill_run(DRIVER)),
    "kill node": Kind(_kill_run(NODE)),
    "kill all": Kind(_kill_all),
    "pause worker": Kind(_pause(WORKER)),
    "pause rank": Kind(_pause(RANK), ("ranks",)),
    "pause driver": Kind(_pause(DRIVER)),
    "stop worker for good": Kind(_stop_for_good, sets=IDLE),
    "SIGINT": Kind(_tell(signal.SIGINT)),
    "SIGINT to group": Kind(_tell(signal.SIGINT, group=True)),
    "SIGINT thrice": Kind(_tell(signal.SIGINT, times=3)),
    "SIGTERM": Kind(_tell(signal.SIGTERM)),
    "SIGTERM to group": Kind(_tell(signal.SIGTERM, group=True)),
    "SIGUSR1": Kind(_tell(signal.SIGUSR1)),
    "disk full": Kind(disk_full, disk=True),
    "read-only": Kind(read_only, disk=True),
    "file system gone": Kind(file_system_gone, disk=True),
    "write error": Kind(write_error),
    **{f"torn {what}": Kind(_tear(what), settings) for what, settings in TORN.items()},
    "raises": Kind(_wish("raise")),
    "hangs": Kind(_wish("hang"), sets=IDLE),
    "eats memory": Kind(_wish("eat"), prepare=_little_memory),
    "two drivers": Kind(_second_driver),
    "W&B away": Kind(_unreachable, sets=("output.wandb.mode=online",), prepare=_away),
}
