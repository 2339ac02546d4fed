"""A storage that refuses: waited for, told in a line, and never the failure of a trial."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.results import small_results
from zfscale.errors import StorageError, ZfscaleError
from zfscale.results import patience
from zfscale.results.attempts import open_ledger, start_attempt
from zfscale.results.lock import held
from zfscale.results.missing import root
from zfscale.results.patience import patiently
from zfscale.results.storage import storage
from zfscale.results.workers import Speaker
from zfscale.sweep.driver import begin
from zfscale.sweep.unfinished import UNFINISHED, Unfinished
from zfscale.training.snapshots import Snapshots
from zfscale.zo.ledger import MAGIC, Entry, Ledger, entries

WAITS = patience.WAITS
ENTRY = Entry(0.5, 2, 0.25, 1, (7,), (0.125,))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(patience, "WAITS", (0.0, 0.0, 0.0))


def refusing(monkeypatch, module, name: str, times: int, number: int = errno.ENOSPC) -> list[int]:
    """The function fails so many times, then works."""
    works, calls = getattr(module, name), []

    def act(*args, **more):
        calls.append(1)
        if len(calls) <= times:
            raise OSError(number, os.strerror(number))
        return works(*args, **more)

    monkeypatch.setattr(module, name, act)
    return calls


def test_a_minute_is_waited():
    assert 45 <= sum(WAITS) <= 90


@pytest.mark.parametrize("times", [0, 1, 3])
def test_what_passes_is_waited_for(times, monkeypatch, tmp_path):
    ledger = Ledger(tmp_path / "t")
    ledger.append(ENTRY)
    refusing(monkeypatch, os, "pwrite", times)
    ledger.append(ENTRY)
    assert list(entries((tmp_path / "t").read_bytes())) == [ENTRY] * 2


def test_a_write_that_was_cut_short_is_written_over(monkeypatch, tmp_path):
    ledger, pwrite, calls = Ledger(tmp_path / "t"), os.pwrite, []

    def short(handle, data, at):
        calls.append(1)
        return pwrite(handle, data[: len(data) // 2] if len(calls) < 3 else data, at)

    monkeypatch.setattr(os, "pwrite", short)
    ledger.append(ENTRY)
    ledger.append(ENTRY)
    assert (tmp_path / "t").read_bytes() == MAGIC + ENTRY.pack() * 2


def test_what_lasts_is_a_storage_error_that_names_file_and_reason(monkeypatch, tmp_path):
    refusing(monkeypatch, os, "replace", 99)
    for act in (lambda: start_attempt(tmp_path, "t"), lambda: small_results.run(tmp_path, only(tmp_path))):
        with pytest.raises(StorageError, match=r"(\.attempts/t|evals/.*\.parquet): the disk is full \(\[Errno 28\]\)"):
            act()
    refusing(monkeypatch, os, "pwrite", 99, errno.EIO)
    with pytest.raises(StorageError, match=r"\.ledgers/t: Input/output error"):
        open_ledger(tmp_path, "t")


def only(folder: Path):
    return small_results.sweep(folder).trials[0]


class Leaf:
    name, parameter = "w", torch.nn.Parameter(torch.ones(300))


def test_a_snapshot_is_waited_for(monkeypatch, tmp_path):
    calls = refusing(monkeypatch, os, "replace", 2)
    snapshots = Snapshots(tmp_path, "t")
    snapshots.save(1, [Leaf])  # type: ignore[arg-type]
    assert len(calls) == 3
    assert snapshots.has(1)


def test_waiting_does_not_hide_other_errors():
    with pytest.raises(KeyError):
        patiently(lambda: dict[str, str]()["a"], "x")


class Spec:
    """Of a worker that is no actor."""

    def __init__(self, spec):
        self.config = {"spec": spec.to_json()}
        self.team = self.walk = None
        self.judged, self.checkpoint_minutes = True, None


@pytest.mark.parametrize("ours", [True, False])
def test_a_trial_fails_by_its_own_errors_only(ours, monkeypatch, tmp_path):
    """An OSError of the user's own code is the trial's; one of our storage leaves it unfinished."""
    from zfscale.garbage import Settled
    from zfscale.sweep import worker
    from zfscale.trial import run as trial
    from zfscale.trial.report import Report

    spec = only(tmp_path)
    mine: Any = Spec(spec)
    mine.results, mine.name, mine.output = storage(tmp_path / "r"), "small", small_results.sweep(tmp_path).spec.output
    mine._run, mine._get, mine.features = lambda: worker.Worker._run(mine), lambda key: None, {}
    mine.settled, mine.every, mine.checkpoint_minutes, mine.inputs = Settled(), 0, None, {}
    mine.node, mine.speaker = "here", Speaker(mine.results, "run", "here")

    def walk(spec, base, data, sink, attempt, ledger, snapshots, features, every):
        if not ours:
            raise OSError(errno.ENOSPC, "of a file of the user's")
        refusing(monkeypatch, os, "pwrite", 99)
        ledger.append(ENTRY)

        yield Report(1, {}, last=True)

    mine._reports = lambda walk, spec, ledger: worker.Worker._reports(mine, walk, spec, ledger)
    mine.forked = False
    mine._share = lambda spec, ledger, snapshots, micro: micro
    monkeypatch.setattr(trial, "walk", walk)
    answer = worker.Worker.step(mine)
    rows = list((tmp_path / "r" / "trials").glob("*"))
    if ours:
        assert answer["status"] == UNFINISHED
        assert f".ledgers/{spec.trial_id}: the disk is full" in answer["why"]
        assert rows == []
    else:
        assert answer["status"] == "failed"
        assert len(rows) == 1


def test_why_trials_are_unfinished_is_said_once(capsys):
    callback = Unfinished()
    for why in ("a: the disk is full", "a: the disk is full", "b: no"):
        callback.on_trial_result(0, [], None, {"status": UNFINISHED, "why": why})
    callback.on_trial_result(0, [], None, {"status": "finished"})
    assert capsys.readouterr().err.splitlines() == [
        "a: the disk is full; trials are left unfinished",
        "b: no; trials are left unfinished",
    ]


@pytest.mark.parametrize("link", [".ledgers/t", ".attempts/t", "snapshots/t", ".ledgers", "trials", ".tmp", ".lock"])
def test_nothing_is_written_through_a_link(link, tmp_path):
    sweep = small_results.sweep(tmp_path)
    there: Any = root(sweep)
    victim = tmp_path / "victim"
    path = there.root / link
    path.parent.mkdir(parents=True)
    is_file = link.startswith((".ledgers/", ".lock", ".attempts/"))
    victim.write_bytes(b"precious") if is_file else victim.mkdir()
    path.symlink_to(victim)
    with pytest.raises(ZfscaleError, match=rf"{link}: is a symbolic link.*remove it"), held(there):
        begin(sweep, retry_failed=False)
    assert not is_file or victim.read_bytes() == b"precious"
    assert is_file or not list(victim.iterdir())


def test_a_ledger_is_not_opened_through_a_link(tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "t").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match="symbolic link"):
        Ledger(tmp_path / "t")
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_the_directory_itself_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    there = storage(tmp_path / "link")
    there.check()
    open_ledger(there, "t").append(ENTRY)
    assert (tmp_path / "real" / ".ledgers" / "t").exists()


def fill(ledger: Ledger) -> None:
    for _ in range(10_000):
        ledger.append(ENTRY)


def test_a_full_disk_is_told_by_name(tmp_path):
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path]).returncode:
        pytest.skip("needs to mount a small disk")
    try:
        there: Any = storage(tmp_path / "r")
        with pytest.raises(StorageError, match=r"r/big: the disk is full \(\[Errno 28\]\)"):
            there.write("big", bytes(10**6))
        assert not list(there.root.rglob("*big*"))
        ledger = open_ledger(there, "t")
        filler = tmp_path / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(10**6))
        with pytest.raises(StorageError, match=r"\.ledgers/t: the disk is full"):
            fill(ledger)
        filler.unlink()
        ledger.append(ENTRY)
        kept = Ledger(tmp_path / "r" / ".ledgers" / "t").past
        assert kept == [ENTRY] * len(kept) != []
        ledger.close()
        del ledger
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)
