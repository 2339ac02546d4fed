"""Trials whose workers died: what is recorded, and what is left to the next run. No Ray runs."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import sweep_file
from zfscale import spec
from zfscale.results.attempts import open_ledger, start_attempt
from zfscale.results.missing import root
from zfscale.results.tables import rows, statuses
from zfscale.sweep import team as team_module
from zfscale.sweep.deaths import RecordDeaths
from zfscale.sweep.team import RankLost, Team
from zfscale.zo.ledger import Entry

ENTRY = Entry(0.5, 2, 0.25, 1, (7,), (0.125,))


@pytest.fixture
def sweep(tmp_path, tiny_vit, image_folder):
    return spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder))


@pytest.fixture
def given_up(sweep, tmp_path):
    """Tune's trial, in the end, with what Tune was told."""
    error = tmp_path / "error.txt"
    error.write_text("Traceback\nActorDiedError: node lost\n")
    return SimpleNamespace(trial_id="a1", config={"spec": sweep.trials[0].to_json()}, error_file=str(error))


def start(deaths, sweep, trial, steps):
    """A start of the trial, in which it takes some steps."""
    deaths.on_trial_start(0, [], trial)
    start_attempt(root(sweep), sweep.trials[0].trial_id)
    ledger = open_ledger(root(sweep), sweep.trials[0].trial_id)
    for _ in range(steps):
        ledger.append(ENTRY)


@pytest.mark.parametrize("steps", [(0, 0), (5, 0)])
def test_a_trial_that_gets_no_further_is_a_failed_one(sweep, given_up, steps):
    deaths = RecordDeaths(sweep)
    for taken in steps:
        start(deaths, sweep, given_up, taken)
    deaths.on_trial_error(0, [], given_up)
    (row,) = rows(root(sweep), "trials", ["status", "attempts", "error"]).to_pylist()
    assert (row["status"], row["attempts"]) == ("failed", 2)
    assert row["error"].endswith("ActorDiedError: node lost\nthe worker died 4 times")


def test_a_trial_that_got_further_is_left_to_the_next_run(sweep, given_up, capsys):
    deaths = RecordDeaths(sweep)
    for _ in range(2):
        start(deaths, sweep, given_up, 3)
    deaths.on_trial_error(0, [], given_up)
    assert statuses(root(sweep)) == {}
    assert "it goes on next time" in capsys.readouterr().err


def test_a_trial_that_no_worker_took_is_left_to_the_next_run(sweep, given_up, capsys):
    start_attempt(root(sweep), sweep.trials[0].trial_id)  # by an earlier run
    RecordDeaths(sweep).on_trial_error(0, [], given_up)
    assert statuses(root(sweep)) == {}
    assert "no worker could start it: ActorDiedError: node lost" in capsys.readouterr().err


def killed_for_memory(given_up, tmp_path, last):
    """Tune's file after a worker died of memory, and then of `last`."""
    memory = "Ray killed the worker because its node ran out of memory\n0.97"
    failures = [memory, memory if last == "memory" else "ActorDiedError"]
    text = "".join(f"Failure # {i} (occurred at noon)\n{failure}\n" for i, failure in enumerate(failures, 1))
    (tmp_path / "error.txt").write_text(text)


def test_a_trial_whose_worker_was_killed_for_memory_is_a_failed_one_with_a_remedy(sweep, given_up, tmp_path):
    deaths = RecordDeaths(sweep)
    start(deaths, sweep, given_up, 3)
    killed_for_memory(given_up, tmp_path, "memory")
    deaths.on_trial_error(0, [], given_up)
    (row,) = rows(root(sweep), "trials", ["status", "error"]).to_pylist()
    assert row["status"] == "failed"
    assert row["error"].splitlines()[-1].startswith("out of memory: the worker died 4 times")
    assert "train.micro_batch_size" in row["error"]
    assert row["error"].count("0.97") == 1  # of the last time alone


def test_only_the_last_death_counts(sweep, given_up, tmp_path):
    deaths = RecordDeaths(sweep)
    start(deaths, sweep, given_up, 3)
    killed_for_memory(given_up, tmp_path, "node")
    deaths.on_trial_error(0, [], given_up)
    assert statuses(root(sweep)) == {}


def test_a_row_that_cannot_be_written_now_is_left_to_the_next_run(sweep, given_up, monkeypatch, capsys):
    def full(*_words):
        raise OSError(28, "No space left on device")

    deaths = RecordDeaths(sweep)
    for _ in range(2):
        start(deaths, sweep, given_up, 0)
    monkeypatch.setattr("zfscale.sweep.deaths.record_failure", full)
    deaths.on_trial_error(0, [], given_up)
    assert "its failure was not recorded: [Errno 28] No space left on device" in capsys.readouterr().err


@pytest.fixture
def team(monkeypatch):
    """A team without ranks; `answers` are what the others say, an exception being their death."""
    made = Team.__new__(Team)
    made.others, made._lost, made._failure = [], None, None
    monkeypatch.setattr(team_module, "LAST_WORDS", 0.2)
    monkeypatch.setattr(team_module, "ECHO", 0.0)
    monkeypatch.setattr(team_module.ray, "wait", lambda waiting, **_: (waiting[:1], waiting[1:]))
    monkeypatch.setattr(team_module.ray, "get", say)
    return made


def say(answer):
    if isinstance(answer, Exception):
        raise answer
    return answer


DEATH = team_module.ray.exceptions.RayError("gone")
NO_MEMORY = team_module.ray.exceptions.OutOfMemoryError("0.97 of the memory")


@pytest.mark.parametrize(("answer", "told"), [("why", ["another rank failed:\nwhy"]), (DEATH, [])])
def test_where_rank_0_cannot_notice_a_failure_is_recorded_and_the_process_ends(monkeypatch, team, answer, told):
    recorded: list[Any] = []
    ended: list[Any] = []
    monkeypatch.setattr(team_module.os, "_exit", ended.append)
    team._watch([answer], threading.Event(), threading.Event(), recorded.append)
    assert (recorded, ended) == (told, [1])


def test_a_process_ends_even_if_the_record_cannot_be_written(monkeypatch, team):
    def full(_error):
        raise OSError("no space left")

    ended: list[Any] = []
    monkeypatch.setattr(team_module.os, "_exit", ended.append)
    with pytest.raises(OSError, match="no space"):
        team._watch(["why"], threading.Event(), threading.Event(), full)
    assert ended == [1]


@pytest.mark.parametrize(("answer", "error"), [(DEATH, RankLost), ("why", team_module.ZfscaleError)])
def test_what_happens_to_a_rank_at_the_end_is_told(team, answer, error):
    """Rank 0 is through with the trial, or fails with it."""
    team.others = [SimpleNamespace(run=SimpleNamespace(remote=lambda *_: answer))]
    team._kill = lambda: None
    with pytest.raises(error), team.running("", [], record=pytest.fail, keep=True):
        pass
    with pytest.raises(error), team.running("", [], record=pytest.fail, keep=True):
        raise RuntimeError("connection closed by peer")


def test_a_rank_killed_for_memory_is_told_as_such(team):
    team.others = [SimpleNamespace(run=SimpleNamespace(remote=lambda *_: NO_MEMORY))]
    team._kill = lambda: None
    with (
        pytest.raises(RankLost, match=f"{team_module.NO_MEMORY}\n0.97"),
        team.running("", [], record=pytest.fail, keep=True),
    ):
        pass
