"""A command on a leash: it ends by itself, or with whoever started it."""

from __future__ import annotations

import subprocess
import sys

import pytest

LEASH = [sys.executable, "-m", "zfscale.sinks.leash"]
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
if os.fork() == 0:
    print(os.getpid(), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_is_the_commands(status: int) -> None:
    process = subprocess.Popen([*LEASH, sys.executable, "-c", f"raise SystemExit({status})"], stdin=subprocess.PIPE)
    assert process.wait(timeout=60) == status


def test_its_processes_end_when_the_parent_is_killed() -> None:
    """The parent is killed; all that it started, a child of a child too, is gone once the output ends."""
    code = f"import subprocess, time; subprocess.Popen({[*LEASH, sys.executable, '-c', STUBBORN]}, "
    code += "stdin=subprocess.PIPE); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    started = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    assert parent.stdout.read() == ""  # it ends when the last process that could write to it has
    assert len(set(started)) == 2
