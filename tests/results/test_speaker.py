"""A worker's thread says how far its trial is, and calls what shows the trial's rows, while there is a trial."""

from __future__ import annotations

import threading
import time

import pytest

from zfscale.errors import StorageError
from zfscale.records import Step
from zfscale.results import workers
from zfscale.results.workers import Speaker, words


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(workers, "SAY_EVERY", 0.05)


def wait_for(happened: threading.Event) -> None:
    assert happened.wait(60)


def test_a_trial_is_spoken_of_and_its_rows_are_shown_until_it_ends(tmp_path):
    speaker, called, calls = Speaker(tmp_path, "run", "node"), threading.Event(), []

    def tick() -> None:
        calls.append(threading.current_thread())
        called.set()

    with speaker.of("0" * 12, "ease", 1, tick=tick):
        speaker.step(Step(1, 3, 0.5, 0.1, 8, 2.0))
        wait_for(called)
        called.clear()
        wait_for(called)
    count = len(calls)
    assert threading.current_thread() not in calls
    assert [(word.trial_id, word.step) for word in words(tmp_path, "run")] == [("0" * 12, 3)]
    time.sleep(0.2)
    assert len(calls) == count


def test_the_end_waits_for_a_call_that_is_under_way(tmp_path):
    speaker, called, done = Speaker(tmp_path, "run", "node"), threading.Event(), []

    def slow() -> None:
        called.set()
        time.sleep(0.3)
        done.append(True)

    with speaker.of("0" * 12, "ease", 1, tick=slow):
        wait_for(called)
    assert done


@pytest.mark.parametrize("error", [StorageError("no space"), RuntimeError("no space")])
def test_an_error_is_a_warning_and_the_thread_goes_on(error, tmp_path, caplog):
    speaker, again, calls = Speaker(tmp_path, "run", "node"), threading.Event(), []

    def refused() -> None:
        calls.append(True)
        if len(calls) > 1:
            again.set()
        raise error

    with speaker.of("0" * 12, "ease", 1, tick=refused):
        wait_for(again)
    assert "no space" in caplog.text
