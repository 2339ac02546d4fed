"""What searchers propose: by seed and results alone, over all runs of a sweep, and never the same trial twice.

No Ray runs: what Tune does with a source of trials is done here, by one worker or several.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.results.small_results import row
from tests.spec.test_spec_space import VALIDATED
from tests.spec.test_spec_space import sweep as load
from zfscale.errors import SpecError, ZfscaleError
from zfscale.results.decisions import PROPOSE, SEARCH, TOLD, Decisions
from zfscale.results.layout import TRIALS
from zfscale.results.missing import missing, root, unproposed
from zfscale.results.proposals import known, unknown
from zfscale.results.tables import rows
from zfscale.spec import Sweep, TrialSpec
from zfscale.spec.algorithms import ALGORITHMS
from zfscale.spec.sharding import Shard, shard_of
from zfscale.spec.spending import BudgetSpec
from zfscale.sweep.gate import Gate
from zfscale.sweep.proposing import COLUMNS, Proposing
from zfscale.sweep.source import planned

SEARCHERS = [name for name, facts in ALGORITHMS.items() if facts.path]
RATE = {"optimizer.lr": {"loguniform": [1e-5, 1.0]}}


def peak(trial: TrialSpec) -> float:
    """An objective: best at a rate of 0.01."""
    return 1 - (math.log10(trial.optimizer.lr) + 2) ** 2 / 9 - trial.seed / 100


def sweep(tmp_path: Path, algorithm: Any, samples: int = 8, space: Any = None, **search: Any) -> Sweep:
    output = {"dir": str(tmp_path / "results"), "wandb": {"mode": "disabled"}}
    named = {"name": algorithm} if isinstance(algorithm, str) else algorithm
    asked = {"samples": samples, "algorithm": {"startup": 3, **named}, **search}
    return load(tmp_path, space or RATE, search=asked, stream=VALIDATED, output=output)


def run(
    made: Sweep,
    value: Callable[[TrialSpec], float] = peak,
    most: int = 10**6,
    at_once: int = 1,
    status: Callable[[TrialSpec], str] = lambda _: "finished",
) -> list[str]:
    """A run that ends after `most` trials; the ids of those that were started."""
    made, started, live = known(made), list[str](), list[tuple[str, TrialSpec]]()
    plan = planned(made, {}, "run")
    plan.write(root(made))
    decisions = Decisions(root(made))
    there = rows(root(made), TRIALS, [*COLUMNS, made.spec.search.metric]).to_pylist()
    source = Proposing(made, missing(made), there, decisions, plan, gate=Gate(slots=lambda: at_once))
    while len(started) < most:
        suggested = source.suggest(f"tune {len(started)}")
        if isinstance(suggested, dict):
            trial = TrialSpec.from_json(suggested["spec"])
            live.append((f"tune {len(started)}", trial))
            started.append(trial.trial_id)
            continue
        if not live:
            break
        name, trial = live.pop(0)
        row(root(made), trial, value(trial), status(trial))
        ended = {"status": status(trial), "avg_accuracy": value(trial), "stage": 1}
        source.on_trial_complete(name, ended)
    decisions.close()
    return started


def kept(made: Sweep, decision: str) -> list[Any]:
    return [(one, json.loads(one.why)) for one in Decisions(root(made)).rows if one.decision == decision]


@pytest.mark.parametrize("name", SEARCHERS)
def test_proposals_follow_from_the_seed_and_the_results(name: str, tmp_path: Path) -> None:
    def ids(place: str, value: Callable[[TrialSpec], float] = peak, **options: Any) -> list[str]:
        (tmp_path / place).mkdir()
        return run(sweep(tmp_path / place, {"name": name, **options}), value)

    first = ids("a")
    assert len(set(first)) == 8
    assert ids("b") == first
    assert ids("c", seed=1)[:3] == first[:3], "the startup is what `random` draws"
    assert ids("d", seed=1) != first
    worse = ids("e", lambda trial: -peak(trial))
    assert worse[:4] != first[:4] or worse[4:] != first[4:]


@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("most", [2, 5])
def test_a_later_run_goes_on_as_if_there_had_been_no_interruption(name: str, most: int, tmp_path: Path) -> None:
    for place in ("whole", "parts"):
        (tmp_path / place).mkdir()
    whole = run(sweep(tmp_path / "whole", name))
    made = sweep(tmp_path / "parts", name)
    first = run(made, most=most)  # the last of them is left without a row
    assert unproposed(made) == 8 - most
    assert run(made) == whole[max(most - 1, 0) :]
    assert first == whole[:most]
    assert (missing(known(made)), unproposed(made), run(made)) == ([], 0, [])
    assert run(sweep(tmp_path / "parts", name, samples=10)) == run(sweep(tmp_path / "whole", name, samples=10))


@pytest.mark.parametrize("name", SEARCHERS)
def test_what_a_sweep_knows_already_is_told_and_not_run_again(name: str, tmp_path: Path) -> None:
    random = load(tmp_path, RATE, search={"samples": 4}, stream=VALIDATED, output={"dir": str(tmp_path / "results")})
    for trial in random.trials[:3]:
        row(root(random), trial, peak(trial))
    made = sweep(tmp_path, name, 4)
    started = run(made)
    assert len(started) == 4
    assert not {trial.trial_id for trial in random.trials[:3]} & set(started)
    ((_, about),) = kept(made, SEARCH)
    assert sorted(value for _, value in about["known"]) == sorted(peak(trial) for trial in random.trials[:3])
    assert about["startup"] == []


@pytest.mark.parametrize("name", SEARCHERS)
def test_equal_proposals_are_one_trial(name: str, tmp_path: Path) -> None:
    made = sweep(tmp_path, name, 12, {"optimizer.queries": {"randint": [1, 4]}})
    started = run(made, lambda trial: trial.optimizer.queries / 10)
    assert len(started) == len(set(started)) <= 3
    assert len(kept(made, PROPOSE)) == len(kept(made, TOLD)) == 12
    assert (missing(known(made)), unproposed(made)) == ([], 0)
    assert len(known(made).trials) == len(started)


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_proposal_is_run_with_every_seed_and_the_mean_is_told(name: str, tmp_path: Path) -> None:
    made = sweep(tmp_path, name, 4, {**RATE, "seed": {"grid": [0, 1]}})
    assert (made.size, len(run(made, at_once=3))) == (8, 8)
    trials = known(made).trials
    assert [trial.seed for trial in trials] == [0, 1] * 4
    assert len({trial.optimizer.lr for trial in trials}) == 4
    for (one, _), pair in zip(kept(made, TOLD), zip(trials[::2], trials[1::2], strict=True), strict=True):
        assert one.value == pytest.approx(sum(map(peak, pair)) / 2)


def test_each_grid_point_is_searched_by_itself_in_turn(tmp_path: Path) -> None:
    made = sweep(tmp_path, "optuna", 3, {**RATE, "method.name": {"grid": ["ease", "aper"]}})
    run(made)
    assert [trial.method.name for trial in known(made).trials] == ["ease", "aper"] * 3
    assert len(kept(made, SEARCH)) == 2


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_failed_trial_is_told_as_such_and_the_search_goes_on(name: str, tmp_path: Path) -> None:
    made = sweep(tmp_path, name, 6)
    assert len(run(made, status=lambda trial: "failed" if trial.optimizer.lr > 1e-3 else "finished")) == 6
    told = {(about["status"], one.value is None) for one, about in kept(made, TOLD)}
    assert told == {("finished", False), ("failed", True)}


def test_a_stopped_trial_is_told_with_its_stage(tmp_path: Path) -> None:
    made = sweep(tmp_path, "optuna", 6, scheduler="asha")
    assert len(run(made, status=lambda trial: "stopped" if trial.optimizer.lr > 1e-3 else "finished")) == 6
    assert {(about["status"], one.stage) for one, about in kept(made, TOLD)} == {("finished", 0), ("stopped", 1)}


def test_a_search_whose_library_now_proposes_otherwise_begins_anew_with_the_results(tmp_path: Path) -> None:
    made = sweep(tmp_path, "optuna", 6)
    run(made, most=6)
    decisions = Decisions(root(made))
    last = decisions.rows[-1]
    about = json.loads(last.why) | {"proposal": 6, "values": {"optimizer.lr": 0.5}}
    assert last.decision == PROPOSE
    decisions.add("0" * 12, 0, last.metric, None, PROPOSE, json.dumps(about))
    decisions.close()
    run(sweep(tmp_path, "optuna", 8))
    (_, (_, again)) = kept(made, SEARCH)
    assert len(again["known"]) == 5


def test_a_plan_has_a_name_for_what_is_unknown(tmp_path: Path) -> None:
    made = sweep(tmp_path, "optuna", 5)
    assert [count for _, count in unknown(made).values()] == [5]
    plan = planned(made, {}, "run")
    assert (len(plan.trials), len(plan.unknown)) == (5, 1)
    (cell,) = plan.unknown
    plan.found(cell, "0123456789ab")
    plan.found(cell, None)
    assert len(plan.trials) == 4
    assert "0123456789ab" in plan.trials


@pytest.mark.parametrize(
    ("budget", "taken", "closed", "full"),
    [
        ({"trials": 2}, [], False, False),
        ({"trials": 2}, [{"forwards": 10}], False, True),
        ({"trials": 2}, [{}, {}], True, True),
        ({"forwards": 100}, [{"forwards": 40}], False, False),
        ({"forwards": 100}, [{"forwards": 60}], False, True),
        ({"forwards": 100}, [{"forwards": 100}], True, True),
        ({"hours": 1}, [{"seconds": 3599}], False, False),
        ({"hours": 1}, [{"seconds": 1800}, {"seconds": 1800}], True, True),
    ],
)
def test_nothing_starts_once_the_budget_is_spent(budget: Any, taken: Any, closed: bool, full: bool) -> None:
    gate = Gate(BudgetSpec(**budget), taken, lambda _: 50.0)
    gate.begin("a", "x")
    assert (gate.closed, gate.full) == (closed, full)
    gate.end("a", {"seconds": 0.0, "forwards": 0})
    assert not gate.full


def test_no_trial_is_asked_for_before_there_is_room() -> None:
    gate = Gate(slots=lambda: 1)
    assert not gate.full
    gate.begin("a", "x")
    assert gate.full
    gate.end("a", None)
    assert not gate.full


@pytest.mark.parametrize(
    ("search", "space", "told"),
    [
        ({"algorithm": "optuna"}, RATE, r"s\.yaml:\d+: search\.samples: missing; expected how many proposals"),
        ({"algorithm": "optuna", "samples": 2}, {"seed": {"grid": [0]}}, r"space: all of it is grids; expected a path"),
        ({"algorithm": "optuna", "samples": 2}, {"seed": {"randint": [0, 9]}}, r"space\.seed: a seed is nothing to"),
        ({"algorithm": {"name": "optuna", "gamma": 0.5}}, RATE, r"search\.algorithm: 'gamma' has no effect on optuna"),
        ({"algorithm": {"name": "random", "seed": 1}}, RATE, r"search\.algorithm: 'seed' has no effect on random"),
        (
            {"algorithm": {"name": "bayesopt", "acquisition": "ei", "kappa": 1}},
            RATE,
            r"search\.algorithm: 'kappa' has no effect on acquisition: ei; ucb reads it",
        ),
        (
            {"algorithm": {"name": "bayesopt", "xi": 0.1}},
            RATE,
            r"'xi' has no effect on acquisition: ucb; ei, poi read it",
        ),
        ({"algorithm": {"name": "hyperopt", "gamma": 2}}, RATE, r"search\.algorithm\.gamma: expected a number > 0 and"),
        ({"algorithm": "hyperop"}, RATE, r"search\.algorithm\.name: unknown value 'hyperop'; did you mean 'hyperopt'"),
        (
            {"algorithm": "hyperopt", "samples": 2, "scheduler": "asha"},
            RATE,
            r"search\.scheduler: hyperopt cannot",
        ),
        (
            {"algorithm": "bayesopt", "samples": 2},
            {"method.bottleneck": {"choice": [4, 8]}},
            r"space\.method\.bottleneck: a choice has no order; bayesopt searches numbers alone",
        ),
        ({"algorithm": "grid"}, RATE, r"space\.optimizer\.lr: loguniform has no list of values"),
        ({"algorithm": "grid", "samples": 2}, {"seed": {"randint": [0, 2]}}, r"search\.samples: has no effect on grid"),
        ({"budget": {}}, RATE, r"search\.budget: limits nothing; expected one of each, trials, hours, forwards"),
        ({"budget": {"hours": 0}}, RATE, r"search\.budget\.hours: expected a number > 0 or null, got 0"),
        ({"budget": "much"}, RATE, r"search\.budget: expected a mapping with keys each, trials, hours, forwards"),
        ({"algorithm": "optuna", "samples": 2}, {"optimizer.lr": {"uniform": [-1.0, 1.0]}}, r"space\.optimizer\.lr"),
    ],
)
def test_a_mistake_is_told_with_its_place(search: Any, space: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=told):
        load(tmp_path, space, search=search, stream=VALIDATED)


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_library_that_is_missing_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zfscale.spec.searchable.find_spec", lambda _: None)
    with pytest.raises(SpecError, match=rf"{name} is not installed .* pip install 'zfscale\[search\]'"):
        sweep(tmp_path, name)


def test_a_searched_sweep_has_no_shares(tmp_path: Path) -> None:
    with pytest.raises(ZfscaleError, match="optuna proposes trials by the results of all; run it whole"):
        shard_of(sweep(tmp_path, "optuna"), Shard(1, 2))


def test_grid_takes_every_value(tmp_path: Path) -> None:
    space = {
        "method.bottleneck": {"choice": [4, 8]},
        "train.epochs": {"randint": [1, 4]},
        "optimizer.lr": {"quniform": [0.1, 0.3, 0.1]},
    }
    found = load(tmp_path, space, search={"algorithm": "grid"}, stream=VALIDATED).trials
    every = {(t.method.bottleneck, t.train.epochs, t.optimizer.lr) for t in found}
    assert every == {(b, e, lr) for b in (4, 8) for e in (1, 2, 3) for lr in (0.1, 0.2, 0.3)}
    assert len(found) == 18
