"""Trials that take too long or do not get on are ended by the driver. No Ray runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from tests.results import small_results
from zfscale import spec
from zfscale.results.layout import TRIALS, worker_file
from zfscale.results.missing import root
from zfscale.results.tables import rows, statuses
from zfscale.results.workers import Word
from zfscale.sweep import limits as module
from zfscale.sweep.limits import Limits


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set, and the workers that are killed."""
    now = SimpleNamespace(time=100.0, killed=[])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now.time))
    monkeypatch.setattr(module.ray, "kill", now.killed.append)
    return now


def limited(tmp_path, **resources):
    sweep = spec.load(small_results.sweep(tmp_path).path, [f"resources.{k}={v}" for k, v in resources.items()])
    trial = SimpleNamespace(
        trial_id="t1",
        config={"spec": sweep.trials[0].to_json()},
        max_failures=3,
        temporary_state=SimpleNamespace(ray_actor="worker"),
    )
    made = Limits(sweep, "me")
    made.on_trial_start(0, [], trial)
    return sweep, trial, made


def turn(limits, clock, seconds):
    clock.time += seconds
    limits.on_step_end(0, [])


def say(sweep, moves, run="me"):
    word = Word(sweep.trials[0].trial_id, run=run, moves=moves)
    root(sweep).write(worker_file("n", 1), json.dumps(asdict(word)).encode())


def test_a_trial_is_ended_after_its_time_and_not_started_again(tmp_path, clock):
    sweep, trial, limits = limited(tmp_path, max_seconds=10)
    turn(limits, clock, 9)
    assert (clock.killed, trial.max_failures) == ([], 3)
    turn(limits, clock, 2)
    turn(limits, clock, 2)
    assert (clock.killed, trial.max_failures) == (["worker"], 0)
    limits.on_trial_error(0, [], trial)
    (row,) = rows(root(sweep), TRIALS, ["status", "error"]).to_pylist()
    assert row["status"] == "failed"
    assert row["error"] == "TimeLimit: the trial took more than resources.max_seconds: 10"


def test_a_trial_that_gets_on_is_not_idle(tmp_path, clock):
    sweep, _, limits = limited(tmp_path, max_idle_seconds=20)
    for moves in range(1, 5):
        say(sweep, moves)
        turn(limits, clock, 15)
    assert clock.killed == []
    say(sweep, 99, run="another run")
    turn(limits, clock, 15)
    turn(limits, clock, 15)
    assert clock.killed == ["worker"]


def test_an_idle_trial_says_how_far_it_came(tmp_path, clock):
    sweep, trial, limits = limited(tmp_path, max_idle_seconds=20)
    say(sweep, 7)
    turn(limits, clock, 6)
    turn(limits, clock, 21)
    limits.on_trial_error(0, [], trial)
    (row,) = rows(root(sweep), TRIALS, ["error"]).to_pylist()
    assert row["error"].splitlines() == [
        "its worker spoke of 7 steps and measures, attempt 1",
        "NoProgress: the trial took no step and measured nothing for resources.max_idle_seconds: 20",
    ]


def test_where_the_results_do_not_answer_nobody_is_idle(tmp_path, clock, monkeypatch):
    _, _, limits = limited(tmp_path, max_idle_seconds=20)

    def away(*_):
        raise OSError("away")

    monkeypatch.setattr(module, "words", away)
    for _ in range(5):
        turn(limits, clock, 15)
    assert clock.killed == []


@pytest.mark.parametrize("how", ["result", "recover"])
def test_a_trial_that_has_ended_is_not_looked_at(tmp_path, clock, how):
    _, trial, limits = limited(tmp_path, max_seconds=10)
    if how == "result":
        limits.on_trial_result(0, [], trial, {"status": "finished"})
    else:
        limits.on_trial_recover(0, [], trial)
    turn(limits, clock, 60)
    assert clock.killed == []


def test_a_trial_that_ended_in_the_last_moment_keeps_its_row(tmp_path, clock):
    sweep, trial, limits = limited(tmp_path, max_seconds=10)
    turn(limits, clock, 11)
    small_results.run(root(sweep), sweep.trials[0])
    limits.on_trial_error(0, [], trial)
    assert statuses(root(sweep)) == {sweep.trials[0].trial_id: "finished"}


def test_without_limits_nothing_is_watched(tmp_path, clock):
    _, trial, limits = limited(tmp_path)
    turn(limits, clock, 1e9)
    limits.on_trial_error(0, [], trial)
    assert (clock.killed, limits.watched) == ([], {})
