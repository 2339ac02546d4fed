"""What of Ray Tune is otherwise while a sweep runs, and only then."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune import progress_reporter
from ray.tune.execution import class_cache, tune_controller
from ray.tune.execution.tune_controller import TuneController
from ray.tune.utils.callback import _create_default_callbacks

from zfscale.results.redact import NAMES
from zfscale.sweep.environment import QUIET
from zfscale.sweep.tune_fixes import LOGGERS, NO_MEMORY, ActorManager, Controller, tune_fixes


def state():
    levels = [logging.getLogger(name).level for name in LOGGERS]
    controller = import_module("ray.tune.tune").TuneController, progress_reporter.TrialProgressCallback
    variables = class_cache.ENV_VARS_TO_PROPAGATE, class_cache.DEFAULT_ENV_VARS
    return variables, tune_controller.RayActorManager, controller, levels


def test_tune_adds_no_variable_to_the_runtime_environment_of_workers(monkeypatch):
    given = {}
    monkeypatch.setattr(ray, "remote", lambda runtime_env: given.update(runtime_env) or (lambda cls: cls))
    for name in class_cache.ENV_VARS_TO_PROPAGATE:
        monkeypatch.setitem(os.environ, name, "1")
    class_cache._ActorClassCache().get(int)
    assert any(NAMES.search(name) for name in given["env_vars"])  # Tune's own way: else this can go
    with tune_fixes():
        class_cache._ActorClassCache().get(int)
    assert given == {"env_vars": {}}


def test_a_worker_killed_for_memory_is_a_dead_one(monkeypatch):
    heard = []
    actor = SimpleNamespace(actor_id=1, _on_error=lambda _actor, error: heard.append(error))
    task = SimpleNamespace(_tracked_actor=actor, _on_error=lambda _actor, error: heard.append(error))
    manager = ActorManager.__new__(ActorManager)
    manager._failed_actor_ids = set()
    monkeypatch.setattr(manager, "_cleanup_actor", lambda tracked_actor: None, raising=False)
    manager._actor_task_failed(task, OutOfMemoryError("0.97 of the memory"))
    manager._actor_start_failed(actor, OutOfMemoryError("0.97 of the memory"))
    assert [type(error) for error in heard] == [RayActorError] * 3
    assert {str(error) for error in heard} == {f"{NO_MEMORY}\n0.97 of the memory"}
    assert manager._failed_actor_ids == {1}


def test_only_workers_without_a_trial_are_waited_for(monkeypatch):
    said = []
    controller: Any = Controller.__new__(Controller)
    controller._actor_manager = SimpleNamespace(cleanup=lambda: said.append("killed"))
    monkeypatch.setattr(controller, "_schedule_trial_stop", said.append, raising=False)
    monkeypatch.setattr(TuneController, "_cleanup_trials", lambda self: said.append("waited"))
    for busy in ({"actor": "trial"}, {}):
        controller._actor_to_trial = busy
        controller._cleanup_trials()
    assert said == ["trial", "killed", "waited"]


def test_trials_that_have_ended_are_forgotten_but_the_last(monkeypatch):
    a, b, c, d, e = trials = [type("Trial", (), {"name": name})() for name in "abcde"]
    controller: Any = Controller.__new__(Controller)
    kept = controller._trials = list(trials)
    controller._stopped_trials, controller._failed_trials = {a, d}, {c}
    controller._live_trials, controller._trials_to_cache = {b, c, e}, {a, b}
    monkeypatch.setattr(TuneController, "step", lambda self: None)
    controller.step()
    assert controller._trials is kept  # which Tune hands on
    assert [trial.name for trial in kept] == ["b", "d", "e"]
    assert controller._stopped_trials == {d}
    assert not controller._failed_trials | controller._trials_to_cache
    assert controller._live_trials == {b, e}
    controller.step()
    assert kept == [b, d, e]


def test_afterwards_all_is_as_it_was():
    before = state()
    with tune_fixes():
        assert state() != before
    assert state() == before


class Cached:
    """A controller with workers and trials of which only names are known, and a free worker."""

    def __init__(self, monkeypatch, own: dict[str, str], ready: set[str], room: set[str]):
        self.taken: list[str] = []
        trials = {name: SimpleNamespace(name=name, placement_group_factory="room") for name in own}
        controller: Any = Controller.__new__(Controller)
        controller._trial_to_actor = {Hashed(trial): own[name] for name, trial in trials.items()}
        controller._pending_trials = {trial for trial in controller._trial_to_actor if own[trial.name] not in ready}
        controller._started_actors, controller._resetting_trials = ready, set()
        controller._resources_to_pending_trials = {"room": set()}
        controller._actor_manager = SimpleNamespace(is_actor_started=lambda actor: actor in room)
        monkeypatch.setattr(
            TuneController, "_maybe_reuse_cached_actor", lambda self, trial: bool(self.taken.append(trial.name)) or True
        )
        controller.taken, self.controller = self.taken, controller
        self.trials = {trial.name: trial for trial in controller._trial_to_actor}


class Hashed:
    """A trial of Tune's, as far as it is looked at."""

    def __init__(self, trial):
        self.name, self.placement_group_factory = trial.name, trial.placement_group_factory


def test_a_free_worker_takes_a_trial_that_waits_and_spares_a_worker_that_starts(monkeypatch):
    own = {"runs": "w0", "starts": "w1", "waits": "w2", "later": "w3"}
    cached = Cached(monkeypatch, own, ready={"w0"}, room={"w0", "w1"})
    starts = cached.trials["starts"]
    assert cached.controller._maybe_reuse_cached_actor(starts)
    assert cached.taken == ["waits"]
    assert cached.controller._resources_to_pending_trials["room"] == {starts}  # it still waits for its own


def test_a_free_worker_takes_what_is_left_at_the_end(monkeypatch):
    cached = Cached(monkeypatch, {"runs": "w0", "starts": "w1", "also": "w2"}, ready={"w0"}, room={"w0", "w1", "w2"})
    cached.controller._maybe_reuse_cached_actor(cached.trials["starts"])
    assert cached.taken == ["starts"]


def test_a_free_worker_takes_the_trial_that_is_next(monkeypatch):
    cached = Cached(monkeypatch, {"runs": "w0", "starts": "w1", "waits": "w2"}, ready={"w0"}, room={"w0", "w1"})
    cached.controller._maybe_reuse_cached_actor(cached.trials["waits"])
    assert cached.taken == ["waits"]


def test_no_callback_of_tunes_keeps_trials(monkeypatch):
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    with tune_fixes():
        made = _create_default_callbacks([])
    assert made
    trial: Any = object()
    for callback in made:
        callback.on_trial_result(0, [], trial, {"done": True})
        callback.on_trial_complete(0, [], trial)
        assert not [name for name, kept in vars(callback).items() if kept]
