"""The private directory of a run: who may enter, where it is, and that it goes, whatever ends the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from zfscale.errors import ZfscaleError
from zfscale.sweep import private
from zfscale.sweep.private import LONGEST, OWNER, PREFIX, SESSIONS, SOCKET, private_directory

HOLD = """
import sys, time
from zfscale.sweep.private import private_directory
with private_directory() as place:
    print(place, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def parent(monkeypatch):
    """A short directory for temporary files."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        monkeypatch.setenv("RAY_TMPDIR", place)
        yield Path(place)


def hold() -> tuple[subprocess.Popen[str], Path]:
    """A process that has a private directory."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_only_this_user_may_enter_and_it_goes_with_all_that_is_in_it(parent):
    with private_directory() as place:
        assert place.parent == parent
        assert place.stat().st_mode & 0o777 == 0o700
        (place / "ray").mkdir(mode=0o777)
        (place / "ray" / "log").write_text("x")
    assert list(parent.iterdir()) == []


def test_it_goes_after_an_error_too(parent):
    with pytest.raises(KeyboardInterrupt), private_directory():
        raise KeyboardInterrupt
    assert list(parent.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next_and_what_a_living_one_has_stays(parent):
    killed, left = hold()
    alive, kept = hold()
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.exists()
        with private_directory():
            assert not left.exists()
            assert kept.exists()
    finally:
        alive.kill()
        alive.wait()


def test_what_only_looks_like_one_is_not_touched(parent):
    elsewhere = parent / "mine"
    elsewhere.mkdir()
    (elsewhere / OWNER).touch()
    (parent / f"{PREFIX}link").symlink_to(elsewhere)
    (parent / f"{PREFIX}file").touch()
    (parent / f"{PREFIX}new").mkdir()  # of a run that has not locked it yet
    (parent / f"{PREFIX}again").mkdir()  # by a process that has outlived its run
    os.utime(parent / f"{PREFIX}again", (0, 0))
    with private_directory():
        pass
    assert sorted(path.name for path in parent.iterdir()) == [
        "mine",
        *(f"{PREFIX}{n}" for n in ("file", "link", "new")),
    ]
    assert (elsewhere / OWNER).exists()


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1, 150])
def test_sockets_fit_whatever_the_directory_for_temporary_files_is(parent, monkeypatch, length):
    long = parent / ("x" * (length - len(str(parent)) - 1))
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    with private_directory() as place:
        assert (place.parent == long) is (length <= LONGEST)
        session = "session_2026-01-31_23-59-59_123456_1234567"
        assert len(os.fsencode(place / SESSIONS / session / "sockets" / "plasma_store")) <= SOCKET


def test_where_no_path_is_short_enough_one_line_says_so(parent, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + "x" * 100)
    monkeypatch.setattr(private.os, "access", lambda *_: False)
    with pytest.raises(ZfscaleError, match=r"^TMPDIR: '/tmp/x+' is too long for Ray's sockets"), private_directory():
        pass
