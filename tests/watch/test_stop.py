"""A run is asked to end from elsewhere. No Ray runs."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.results import small_results
from zfscale.errors import ZfscaleError
from zfscale.results.layout import LOCK, STOP, starts_of, stop_of
from zfscale.results.missing import root
from zfscale.results.plan import Plan
from zfscale.watch.stop import stop, stop_trial

RUN = """
import sys, time
from pathlib import Path
from zfscale.results.lock import held
from zfscale.results.storage import storage
from zfscale.sweep import stopping
from zfscale.sweep.environment import as_ctrl_c

stopping.LOOK_EVERY = 0.05
there, hours = storage(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else None
try:
    with as_ctrl_c(), held(there) as me, stopping.stoppable(there, me, hours):
        print("begun", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    print("ended in good order", flush=True)
"""


@pytest.fixture
def there(tmp_path):
    sweep = small_results.sweep(tmp_path)
    small_results.run(root(sweep), sweep.trials[0])
    return root(sweep)


def start(there, *more):
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(there), *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "begun\n"
    return run


def test_a_run_that_is_asked_ends_as_by_ctrl_c(there):
    run = start(there)
    assert "has ended; the same command resumes it" in stop(str(there))
    out, err = run.communicate(timeout=30)
    assert (run.returncode, out) == (0, "ended in good order\n")
    assert "asked to stop, by `zfscale stop`; the run ends" in err
    assert not there.exists(STOP)
    with pytest.raises(ZfscaleError, match="no run writes here"):
        stop(str(there))


def test_a_run_ends_when_its_hours_are_over(there):
    out, err = start(there, "0.0001").communicate(timeout=30)
    assert out == "ended in good order\n"
    assert "--max-hours 0.0001: the time is up; the run ends" in err


def test_a_request_to_another_run_is_not_heeded(there):
    there.write(STOP, b"an earlier run")
    run = start(there)
    time.sleep(0.5)
    assert run.poll() is None
    run.kill()
    run.communicate()


def test_a_run_that_gives_no_sign_of_life_cannot_be_asked(there, monkeypatch):
    there.write(LOCK, b"me away 00000001")
    monkeypatch.setattr("zfscale.results.lock.time.time", lambda: time.monotonic() + 1e10)
    with pytest.raises(ZfscaleError, match="no sign of the run on away"):
        stop(str(there))


def test_a_run_that_does_not_end_is_told(there):
    there.write(LOCK, b"me here 00000001")
    with pytest.raises(ZfscaleError, match="was asked to end, and has not in 0m00s"):
        stop(str(there), patience=0.1)
    assert there.read(STOP) == b"me"


def test_a_trial_is_asked_and_waited_for(there, tmp_path):
    done, asked, waiting = (trial.trial_id for trial in small_results.sweep(tmp_path).trials)
    run = start(there)
    Plan.of(small_results.sweep(tmp_path).trials, {}, "a run").write(there)
    there.write(starts_of(asked), b"+")
    with pytest.raises(ZfscaleError, match=rf"{done}: does not run \(finished\), so it cannot be stopped"):
        stop_trial(str(there), done)
    with pytest.raises(ZfscaleError, match=rf"{waiting}: does not run \(not started\), so it cannot be stopped"):
        stop_trial(str(there), waiting)
    assert "will be stopped once the stage that it is at has ended" in stop_trial(str(there), asked[:8], patience=0.0)
    assert there.exists(stop_of(asked))
    small_results.run(there, small_results.sweep(tmp_path).trials[1], "stopped")
    with pytest.raises(ZfscaleError, match=r"does not run \(stopped\)"):
        stop_trial(str(there), asked)
    stop(str(there))
    run.communicate(timeout=30)
    with pytest.raises(ZfscaleError, match="no run writes here"):
        stop_trial(str(there), asked)
