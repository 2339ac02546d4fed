"""One run at a time, in a directory and in a bucket."""

from __future__ import annotations

import errno
import fcntl
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.buckets import bucket
from zfscale.errors import ZfscaleError
from zfscale.results import lock as hold
from zfscale.results.layout import LOCK
from zfscale.results.lock import held, seen
from zfscale.results.storage import storage


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(hold, "RENEW", 0.2)
    monkeypatch.setattr(hold, "PATIENCE", 1.5)
    monkeypatch.setattr(hold, "SETTLE", 0.1)


@pytest.fixture(params=["directory", "bucket"])
def there(request, tmp_path):
    return storage(tmp_path / "r") if request.param == "directory" else bucket()


def test_a_second_run_is_refused_until_the_first_has_ended(there):
    with held(there), pytest.raises(ZfscaleError, match="another run of this sweep is writing here"), held(there):
        pass
    with held(there) as run:
        assert there.read(LOCK).startswith(run.encode())


def test_the_holder_is_known_by_its_id(there, tmp_path):
    with held(there) as run:
        assert seen(there, run, patience=0)
        assert not seen(there, "another", patience=0)
        assert not seen(storage(tmp_path / "elsewhere"), run, patience=0)


def test_what_a_node_sees_late_is_waited_for(there):
    there.write(LOCK, b"old")
    began = time.monotonic()
    code = "import sys, time; time.sleep(0.3); open(sys.argv[1], 'w').write('mine')"
    if there.url.startswith("s3"):
        there.write(LOCK, b"mine")
        assert seen(there, "mine", patience=0)
        return
    writer = subprocess.Popen([sys.executable, "-c", code, there.path(LOCK)])
    assert seen(there, "mine", patience=20)
    assert time.monotonic() - began >= 0.3
    assert writer.wait() == 0


def test_a_lock_goes_with_its_process(tmp_path):
    code = (
        "import sys, time\nfrom zfscale.results.storage import storage\nfrom zfscale.results.lock import held\n"
        "with held(storage(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(ZfscaleError), held(storage(tmp_path)):
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    with held(storage(tmp_path)) as run:
        assert (tmp_path / LOCK).read_text().startswith(run)


def test_what_another_machine_left_behind_is_taken_after_a_while(there, capsys):
    there.write(LOCK, b"gone elsewhere 7")
    began = time.monotonic()
    with held(there) as run:
        assert time.monotonic() - began >= hold.PATIENCE
        assert there.read(LOCK).startswith(run.encode())
    assert "another run may be writing here" in capsys.readouterr().err
    assert not there.read(LOCK)
    with held(there):  # the last one has ended in order
        assert capsys.readouterr().err == ""


def test_a_lock_that_another_machine_holds_is_refused(tmp_path, monkeypatch):
    """As where locks work within one machine only."""
    there = storage(tmp_path)
    with held(there):
        monkeypatch.setattr(hold, "HOST", b"another")
        monkeypatch.setattr(fcntl, "flock", lambda *_: None)
        with pytest.raises(ZfscaleError, match="another run"), held(there):
            pass


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with held(storage(tmp_path)) as run:
        assert seen(storage(tmp_path), run, patience=0)


def test_it_is_renewed(there):
    with held(there) as run:
        first = there.read(LOCK)
        time.sleep(5 * hold.RENEW)
        assert there.read(LOCK) != first
        assert there.read(LOCK).startswith(run.encode())
    assert not there.read(LOCK)


def lose(there, seconds):
    """Hold what another run takes over; wait in pieces of so many seconds."""
    with held(there):
        if there.url.startswith("s3"):
            there.write(LOCK, b"another 0")
        else:
            Path(there.path(LOCK)).write_bytes(b"another 0")  # in place, as its holder does
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(seconds)


@pytest.mark.parametrize(
    ("number", "blocked", "seconds"),
    [(signal.SIGINT, False, 60), (signal.SIGTERM, False, 60), (signal.SIGINT, True, 0.1)],
)
def test_what_is_lost_ends_the_run(there, number, blocked, seconds, capsys):
    """Also where a shell has switched Ctrl-C off, and where signals are blocked, as in Ray's workers."""
    others: dict[int, Any] = {
        signal.SIGINT: signal.SIG_IGN,
        signal.SIGTERM: signal.SIG_DFL,
        number: signal.default_int_handler,
    }
    before = {one: signal.signal(one, handler) for one, handler in others.items()}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [number] if blocked else [])
    try:
        with pytest.raises(KeyboardInterrupt):
            lose(there, seconds)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for one, handler in before.items():
            signal.signal(one, handler)
    assert "taken over by another run" in capsys.readouterr().err
    assert there.read(LOCK) == b"another 0"


def test_of_two_that_start_at_once_the_last_one_goes_on(monkeypatch):
    there = bucket()

    def rival(_seconds):
        there.write(LOCK, b"rival 0")

    monkeypatch.setattr(time, "sleep", rival)
    with pytest.raises(ZfscaleError, match="another run"), held(there):
        pass
    assert there.read(LOCK) == b"rival 0"
