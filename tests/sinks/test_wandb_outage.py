"""Online runs while a stand-in of W&B's server is away: what is logged is there once it is back, each row once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb

from tests.conftest import id_of
from tests.sinks.test_wandb_sync import KEY, QUICK
from tests.sinks.test_wandb_sync import run as sync
from tests.sinks.wandb_server import Tally, listening
from zfscale.records import Eval, Outcome, Status, Step
from zfscale.results.attempts import start_attempt
from zfscale.results.layout import note_of
from zfscale.results.storage import Directory, storage
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.sinks.wandb import WandbSink
from zfscale.sinks.wandb_finish import LEFT, finish
from zfscale.sinks.wandb_runs import runs_on_disk
from zfscale.sinks.wandb_start import QUIET, _rests
from zfscale.sinks.wandb_sweep import main
from zfscale.sinks.wandb_sync import Synced, _ready
from zfscale.spec import WandbSpec

TRIAL = id_of("online")
STEPS = 10
OUTCOME = Outcome(Status.FINISHED, {"avg_accuracy": 0.5})


@pytest.fixture
def server(monkeypatch) -> Iterator[tuple[Tally, ExitStack]]:
    """A server, which is away once the stack is closed; a service of W&B that knows it and sends often."""
    tally = Tally()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    for part in ("graphql", "file_stream", "file_transfer"):
        monkeypatch.setitem(QUIET, f"x_{part}_retry_wait_max_seconds", 2.0)
    monkeypatch.setitem(QUIET, "x_file_stream_transmit_interval", 1.0)  # W&B takes whole seconds
    monkeypatch.setattr(wandb.apis.public.Api, "_HTTP_TIMEOUT", 1)  # for the question before an artifact
    wandb.teardown()
    with ExitStack() as up:
        up.enter_context(listening(tally))
        monkeypatch.setenv("WANDB_BASE_URL", tally.url)
        yield tally, up
        wandb.teardown()


def about(root: Path) -> About:
    return About(root, TRIAL, json.dumps({"seed": 0}), {"seed": 0}, sweep="demo")


def begun(root: Path) -> WandbSink:
    start_attempt(root, TRIAL)
    sink = WandbSink(about(root), WandbSpec(mode="online", project="proj", every=1))
    assert sink.url
    return sink


def steps(sink: WandbSink, *numbers: int) -> None:
    for step in numbers:
        sink.step(Step(1, step, 1.0 / (step + 1), 0.1, step, 0.1))


def ended(root: Path, sink: WandbSink) -> None:
    sink.eval(Eval(1, 1, "accuracy", 0.5))
    sink.eval(Eval(1, 0, "stage_accuracy", 0.5))
    sink.close(OUTCOME)
    row(root)


def row(root: Path) -> None:
    ParquetSink(about(root)).close(OUTCOME)


def wait_for_history(tally: Tally) -> None:
    while not tally.run(TRIAL)["history"]:
        time.sleep(0.05)


def assert_whole(tally: Tally) -> None:
    """Each row is there once, none was replaced by another value, and so is the summary."""
    got = tally.runs[TRIAL]
    lines = [got["history"][at] for at in sorted(got["history"], key=int)]
    assert list(map(int, sorted(got["history"], key=int))) == list(range(STEPS + 2))
    assert [line["step"] for line in lines if "loss" in line] == list(range(STEPS))
    assert [line["loss"] for line in lines if "loss" in line] == [1.0 / (step + 1) for step in range(STEPS)]
    assert [line["stage_accuracy"] for line in lines if "stage" in line] == [0.5]
    assert [line["accuracy_matrix"]["nrows"] for line in lines if "accuracy_matrix" in line] == [1]
    assert not got["changed"]
    assert {"avg_accuracy": 0.5, "status": "finished", "step": STEPS - 1}.items() <= got["summary"].items()
    assert [file for file in got["files"] if file.startswith("media/table/accuracy_matrix")]
    assert got["ended"] >= 1


def test_an_outage_in_the_middle_of_a_trial_loses_nothing(server, tmp_path):
    tally, up = server
    sink = begun(tmp_path)
    steps(sink, *range(5))
    wait_for_history(tally)
    up.close()
    steps(sink, *range(5, STEPS))
    back = threading.Timer(2.0, lambda: up.enter_context(listening(tally)))
    back.start()
    ended(tmp_path, sink)
    back.join()
    assert_whole(tally)
    (run,) = runs_on_disk(tmp_path)
    assert run.mark.exists()
    assert not (tmp_path / note_of("wandb")).exists()
    requests = tally.requests
    assert sync(tmp_path, tally.url).stdout == "synced: 0 runs, 1 synced before\n"
    assert tally.requests == requests


@pytest.mark.parametrize("how", ["away", pytest.param("refused", marks=pytest.mark.long)])
def test_what_is_not_uploaded_by_the_end_is_told_and_synced(server, tmp_path, monkeypatch, how):
    tally, up = server
    monkeypatch.setitem(QUIET, "finish_timeout", 2.0)
    sink = begun(tmp_path)
    steps(sink, *range(5))
    wait_for_history(tally)
    if how == "away":
        up.close()
    else:
        tally.refuse = (TRIAL,)
    steps(sink, *range(5, STEPS))
    ended(tmp_path, sink)
    wandb.teardown()
    (run,) = runs_on_disk(tmp_path)
    assert not run.mark.exists()
    told = (tmp_path / note_of("wandb")).read_text()
    assert told.startswith(LEFT)
    assert ("404" in told) == (how == "refused")
    assert _rests(storage(tmp_path)), "the next trials do not wait for the server"
    if how == "away":
        up.enter_context(listening(tally))
    tally.refuse = ()
    for expected in ("synced: 1 run\n", "synced: 0 runs, 1 synced before\n"):
        done = sync(tmp_path, tally.url, **QUICK)
        assert (done.returncode, done.stdout) == (0, expected), done
    assert_whole(tally)


@pytest.mark.long
def test_the_run_of_a_sweep_is_kept_as_well(server, tmp_path, monkeypatch):
    tally, up = server
    monkeypatch.setitem(QUIET, "finish_timeout", 2.0)
    what = {"root": str(tmp_path), "sweep": "demo", "config": {}, "options": {"mode": "online", "project": "p"}}

    def words() -> Iterator[str]:
        yield json.dumps(what)
        yield json.dumps({"minutes": 0.0, "finished": 0})
        up.close()
        yield json.dumps({"minutes": 1.0, "finished": 1})

    assert main(words()) == 1, "the driver shows the note"
    assert (tmp_path / note_of("wandb")).read_text().startswith(LEFT)
    wandb.teardown()
    up.enter_context(listening(tally))
    assert sync(tmp_path, tally.url, **QUICK).stdout == "synced: 1 run\n"
    (got,) = tally.runs.values()
    assert [line["finished"] for line in got["history"].values()] == [0, 1]


@pytest.mark.parametrize("kind", ["run", "offline-run"])
def test_a_run_without_a_mark_is_to_be_synced_once_its_trial_has_ended(tmp_path, kind):
    """Such as one of a process that was killed."""
    folder = tmp_path / "wandb" / TRIAL[:2] / "wandb" / f"{kind}-20260101_000000-{TRIAL}"
    folder.mkdir(parents=True)
    (folder / f"run-{TRIAL}.wandb").touch()
    there = storage(tmp_path)
    assert isinstance(there, Directory)
    assert not _ready(there, told := Synced())
    assert told.running == 1
    row(tmp_path)
    (run,) = _ready(there, Synced())
    run.mark.touch()
    assert not _ready(there, told := Synced())
    assert told.before == 1


class Ending:
    """A run of W&B at its end: late, or with something in its log."""

    def __init__(self, folder: Path, offline: bool = False, late: bool = False, message: str = "") -> None:
        self.offline, self.late = offline, late
        self.settings = SimpleNamespace(sync_file=str(folder / "run-a.wandb"), log_internal=str(folder / "log"))
        line = {"level": "ERROR+4" if message else "INFO", "msg": message or "stream: all finished"}
        (folder / "log").write_text(json.dumps(line))

    def finish(self, exit_code: int) -> None:
        if self.late:
            raise TimeoutError("Timed out finishing run.")


@pytest.mark.parametrize(
    ("how", "marked", "note"),
    [
        ({}, True, ""),
        ({"offline": True}, False, ""),
        ({"late": True}, False, f"{LEFT}: Timed out finishing run."),
        ({"message": "filestream: fatal error: 404"}, False, f"{LEFT}: filestream: fatal error: 404"),
        ({"message": "api: HTTP error"}, True, ""),  # of a request that was made again
        ({"message": "failed to save artifact"}, True, ""),  # its table is a file of the run
    ],
)
def test_a_run_is_marked_once_it_is_uploaded(tmp_path, how, marked, note):
    assert finish(storage(tmp_path), Ending(tmp_path, **how)) == (not note)
    assert (tmp_path / "run-a.wandb.synced").exists() == marked
    file = tmp_path / note_of("wandb")
    assert (file.read_text() if file.exists() else "") == note
