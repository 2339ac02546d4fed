"""What is kept of a trial while it runs, in a directory and in a bucket."""

from __future__ import annotations

from typing import Any

import pytest

from tests.buckets import bucket
from zfscale.results import attempts as marks
from zfscale.results.attempts import attempts_of, open_ledger, progress, start_attempt
from zfscale.results.storage import storage
from zfscale.zo.ledger import Entry, entries

ENTRY = Entry(0.5, 2, 0.25, 1, (7,), (0.125,))


@pytest.fixture(params=["directory", "bucket"])
def there(request, tmp_path):
    return storage(tmp_path / "r") if request.param == "directory" else bucket()


def test_starts_are_counted(there):
    assert attempts_of(there, "t") == 0
    assert [start_attempt(there, "t") for _ in range(3)] == [1, 2, 3]
    assert (attempts_of(there, "t"), attempts_of(there, "u")) == (3, 0)


def test_a_ledger_goes_on_where_the_last_one_was(there, monkeypatch):
    monkeypatch.setattr(marks, "SEND_EVERY", 0.0)
    ledger = open_ledger(there, "t")
    for _ in range(3):
        ledger.append(ENTRY)
    assert list(entries(there.read(".ledgers/t") or b"")) == [ENTRY] * 3
    if there.url.startswith("s3"):
        there.clear()  # the machine is lost
    again = open_ledger(there, "t")
    assert again.past == [ENTRY] * 3
    again.remove()
    assert there.names(".ledgers") == []


def test_a_bucket_has_an_earlier_state_of_the_ledger_between_two_sendings():
    there = bucket()
    ledger: Any = open_ledger(there, "t")
    ledger.append(ENTRY)
    assert there.read(".ledgers/t") is None
    ledger._sent -= marks.SEND_EVERY
    ledger.append(ENTRY)
    ledger.append(ENTRY)
    assert list(entries(there.read(".ledgers/t") or b"")) == [ENTRY] * 2
    there.clear()
    assert open_ledger(there, "t").past == [ENTRY] * 2


def test_a_ledger_that_is_flushed_is_seen_by_others(there):
    ledger = open_ledger(there, "t")
    ledger.append(ENTRY)
    ledger.flush()
    assert list(entries(there.read(".ledgers/t") or b"")) == [ENTRY]


def test_a_bucket_that_refuses_a_ledger_does_not_stop_the_trial(monkeypatch, caplog):
    there = bucket()

    def refuse(_name):
        raise OSError("503 slow down")

    monkeypatch.setattr(marks, "SEND_EVERY", 0.0)
    monkeypatch.setattr(there, "send", refuse)
    ledger = open_ledger(there, "t")
    ledger.append(ENTRY)
    assert "the ledger was not sent: 503 slow down" in caplog.text
    assert list(entries(there.local(".ledgers/t").read_bytes())) == [ENTRY]


def test_progress_grows_with_steps_and_snapshots(there, monkeypatch):
    monkeypatch.setattr(marks, "SEND_EVERY", 0.0)
    assert progress(there, "t") == 0
    open_ledger(there, "t").append(ENTRY)
    stepped = progress(there, "t")
    there.write("snapshots/t/task-1.safetensors", b"weights")
    assert 0 < stepped < progress(there, "t")
    assert progress(there, "u") == 0
