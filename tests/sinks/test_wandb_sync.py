"""`zfscale sync` against a stand-in of W&B's server: every run arrives once, whatever fails on the way."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buckets import bucket
from tests.conftest import id_of
from tests.sinks.wandb_server import serving
from zfscale import cli
from zfscale.errors import ZfscaleError
from zfscale.records import Eval, Outcome, Status, Step
from zfscale.results.attempts import start_attempt
from zfscale.results.layout import SYNC
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.sinks.wandb import WandbSink
from zfscale.sinks.wandb_runs import runs_on_disk
from zfscale.sinks.wandb_sync import sync
from zfscale.spec import WandbSpec

KEY = "5ec2e7" * 7
COMMAND = [sys.executable, "-m", "zfscale", "sync"]
RUNS = 6
STEPS = 5
# W&B waits 2 s and more before it sends again.
QUICK = {f"WANDB__{part}_RETRY_WAIT_MIN_SECONDS": "0.2" for part in ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER")}


def trial(root: Path, trial_id: str, ended: bool = True) -> None:
    start_attempt(root, trial_id)  # as a worker does; the note stays
    about = About(root, trial_id, json.dumps({"seed": 0}), {"seed": 0}, sweep="demo")
    sink = WandbSink(about, WandbSpec(project="proj", every=1))
    for step in range(STEPS):
        sink.step(Step(1, step, 1.0 / (step + 1), 0.1, step, 0.1))
    sink.eval(Eval(1, 1, "accuracy", 0.5))
    sink.close(Outcome(Status.FINISHED, {"avg_accuracy": 0.5}))
    if ended:
        ParquetSink(about).close(Outcome(Status.FINISHED, {"avg_accuracy": 0.5}))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("made") / "r"
    for i in range(RUNS):
        trial(root, id_of(str(i)))
    return root


@pytest.fixture
def results(made, tmp_path, monkeypatch) -> Path:
    """A copy of the results; the files from which W&B makes artifacts of tables are those of the original."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    return shutil.copytree(made, tmp_path / "r")


@pytest.fixture
def without_artifacts(made) -> Iterator[None]:
    """The results were copied from elsewhere."""
    folder, aside = made / "wandb" / "artifacts", made / "aside"
    folder.rename(aside)
    yield
    aside.rename(folder)


def environment(url: str, **more: str) -> dict[str, str]:
    """Without the service of the runs that this process has made."""
    return {
        **{name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"},
        "WANDB_BASE_URL": url,
    } | more


def run(root: Path, url: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, str(root)], env=environment(url, **more), capture_output=True, text=True)


def assert_whole(tally, root: Path, runs: int = RUNS) -> None:
    """Every run has each of its lines, none of another value, and its summary."""
    assert set(tally.runs) == {id_of(str(i)) for i in range(runs)}
    for got in tally.runs.values():
        lines = [got["history"][str(at)] for at in range(len(got["history"]))]
        assert [line["step"] for line in lines if "loss" in line] == list(range(STEPS))
        assert [line["loss"] for line in lines if "loss" in line] == [1.0 / (step + 1) for step in range(STEPS)]
        assert len(lines) == STEPS + 1  # the table
        assert not got["changed"]
        assert (got["summary"]["avg_accuracy"], got["summary"]["status"]) == (0.5, "finished")
        assert got["ended"] >= 1
        assert (got["project"], got["group"]) == ("proj", "demo")
    assert all(run.mark.exists() for run in runs_on_disk(root))
    assert [path.name for path in (root / SYNC).iterdir()] == ["lock"]


def test_every_run_arrives_once(results):
    with serving() as tally:
        done = run(results, tally.url)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"synced: {RUNS} runs"), done
        assert_whole(tally, results)
        assert {got["started"] for got in tally.runs.values()} == {1}
        requests = tally.requests
        again = run(results, tally.url)
        assert (again.returncode, again.stdout) == (0, f"synced: 0 runs, {RUNS} synced before\n")
        assert tally.requests == requests
    assert KEY not in done.stdout + done.stderr


@pytest.mark.long
def test_every_run_arrives_though_each_third_request_fails(results):
    with serving(fail_every=3) as tally:
        done = run(results, tally.url, **QUICK)
        assert done.returncode == 0, done
        assert tally.failed > RUNS
        assert_whole(tally, results)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_killed_sync_goes_on(results):
    with serving(fail_every=3) as tally:
        killed = subprocess.Popen([*COMMAND, str(results)], env=environment(tally.url, **QUICK))
        while not any(got["history"] for got in tally.runs.values()):
            assert killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        done = run(results, tally.url, **QUICK)
        assert done.returncode == 0, done
        assert_whole(tally, results)


def test_a_sync_waits_for_the_processes_of_another(results, capsys):
    for each in runs_on_disk(results):
        each.mark.touch()
    (results / SYNC).mkdir()
    with (results / SYNC / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=cli.main, args=(["sync", str(results)],))
        waiting.start()
        told = ""
        while "waiting for it" not in told:
            told += capsys.readouterr().err
            assert waiting.is_alive()
    waiting.join()
    assert capsys.readouterr().out == f"synced: 0 runs, {RUNS} synced before\n"


@pytest.mark.long
@pytest.mark.usefixtures("without_artifacts")
def test_what_fails_is_told_by_cause_and_taken_up_again(results):
    """W&B's program marks both: a refused run, whose mark is removed, and a run without its table as artifact."""
    refused, torn = id_of("1"), id_of("2")
    (broken,) = (run for run in runs_on_disk(results) if run.trial_id == torn)
    content = broken.log.read_bytes()
    broken.log.write_bytes(b"")
    with serving(refuse=(refused,)) as tally:
        done = run(results, tally.url)
        assert done.returncode == 1, done
        told = done.stdout.splitlines()
        assert told[-1] == f"synced: {RUNS - 2} runs, 2 failed"
        assert [line for line in told if refused in line and "404" in line and "filestream" in line], done
        assert [line for line in told if torn in line and "run info" in line], done
        assert [line for line in told if line.startswith(f"warning: {RUNS - 2} runs") and "artifact" in line], (
            done.stdout
        )
        left = {run.trial_id for run in runs_on_disk(results) if not run.mark.exists()}
        assert left == {refused, torn}
        broken.log.write_bytes(content)
        tally.refuse = ()
        done = run(results, tally.url)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"synced: 2 runs, {RUNS - 2} synced before")
        assert_whole(tally, results)


def test_a_run_of_a_trial_that_has_not_ended_is_left(tmp_path, monkeypatch, capsys):
    for i in range(2):
        trial(tmp_path, id_of(str(i)), ended=False)
    assert cli.main(["sync", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "synced: 0 runs, 2 of trials that have not ended\n"


def test_a_mark_in_whose_log_is_an_error_does_not_count(results):
    """The sync that would have removed it was killed."""
    (one, *others) = runs_on_disk(results)
    for each in (one, *others):
        each.mark.touch()
    logs = results / SYNC / "killed" / "wandb" / "logs"
    logs.mkdir(parents=True)
    line = {"level": "ERROR+4", "msg": "filestream: fatal error", "sync_path": str(one.log)}
    (logs / "debug-sync.1.log").write_text(json.dumps(line) + '\n{"level": "ERR')
    with serving() as tally:
        assert run(results, tally.url).returncode == 0
        assert set(tally.runs) == {one.trial_id}


def test_results_without_runs_are_refused(tmp_path, capsys):
    for root in (tmp_path, tmp_path / "none"):
        assert cli.main(["sync", str(root)]) == 2
        assert capsys.readouterr() == ("", f"{root}: has no runs of W&B in wandb\n")
    with pytest.raises(ZfscaleError, match="sync reads a directory"):
        sync(bucket())


@pytest.mark.parametrize("case", ["no key", "another key"])
def test_a_key_that_is_none_is_said_in_a_line(case, results, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    if case == "no key":
        monkeypatch.delenv("WANDB_API_KEY")
    with serving(key="other" * 8) as tally:
        done = run(results, tally.url)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("W&B: " + ("No API key" if case == "no key" else "Failed to authenticate"))
    assert KEY not in line


def test_old_results_are_found(results):
    """Before, all runs lay in one folder."""
    for each in runs_on_disk(results):
        each.directory.rename(results / "wandb" / each.directory.name)
    assert len(runs_on_disk(results)) == RUNS
    trial(results, id_of("0"))
    assert len(runs_on_disk(results)) == RUNS
