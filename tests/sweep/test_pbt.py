"""Who is taken over by whom, and with which values, in a stand-in population whose scores are known."""

from __future__ import annotations

import random
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from tests.spec.test_spec_space import VALIDATED
from tests.spec.test_spec_space import sweep as load
from zfscale.results.takeovers import Reached
from zfscale.spec import Sweep
from zfscale.spec.population import mutated
from zfscale.sweep.pbt import Pbt, Report

SPACE: dict[str, Any] = {
    "optimizer.lr": {"loguniform": [1e-4, 1e-1]},
    "optimizer.queries": {"randint": [1, 5]},
    "optimizer.noise": {"choice": ["gaussian", "rademacher", "low-rank"]},
    "optimizer.clip": {"quniform": [0.0, 10.0, 0.5]},
}


def population(tmp_path: Path, samples: int = 8, space: Any = None, mode: str = "max", **options: Any) -> Sweep:
    search = {"samples": samples, "mode": mode, "scheduler": {"name": "pbt", **options}}
    output = {"dir": str(tmp_path / "results"), "wandb": {"mode": "disabled"}}
    return load(tmp_path, space or SPACE, search=search, stream=VALIDATED, output=output)


def rule_of(made: Sweep) -> Pbt:
    return Pbt(made.spec.search, mutated(made.spec))


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize(("quantile", "count"), [(0.25, 2), (0.5, 4), (0.1, 1)])
def test_the_worst_are_taken_over_by_the_best(tmp_path: Path, mode: str, quantile: float, count: int) -> None:
    """Each in turn is the last to report; all others have."""
    made = population(tmp_path, mode=mode, quantile=quantile)
    sign = 1 if mode == "max" else -1
    of_rank = dict(enumerate(made.trials))  # the worst first
    for last in of_rank:
        rule = rule_of(made)
        for rank, trial in of_rank.items():
            if rank != last:
                rule.take_in(1, Report(trial, Reached(10 + rank, 1), sign * rank / 8))
        verdict = rule.decide(1, Report(of_rank[last], Reached(99, 1), sign * last / 8), Random(last))
        assert (verdict.takeover is not None) == (last < count), verdict.why
        if verdict.takeover is not None:
            best = {made.trials[rank].trial_id: rank for rank in range(8 - count, 8)}
            assert verdict.takeover.donor in best
            assert (verdict.takeover.step, verdict.takeover.task) == (10 + best[verdict.takeover.donor], 1)
            assert f"among the worst {count} of 8" in verdict.why


def test_trials_are_compared_where_they_have_made_as_many_reports(tmp_path: Path) -> None:
    """One that is ahead, in a harder task, is not among the worst for it; the donor's ledger is read up to there."""
    made = population(tmp_path)
    rule, (a, b, c, *_) = rule_of(made), made.trials
    assert rule.decide(1, Report(a, Reached(5, 1), 0.9), Random(0)).why == "0.9: the first here"
    assert rule.decide(2, Report(a, Reached(10, 2), 0.3), Random(0)).takeover is None
    assert rule.decide(1, Report(b, Reached(5, 1), 0.95), Random(0)).takeover is None
    found = rule.decide(1, Report(c, Reached(5, 1), 0.5), Random(0)).takeover
    assert found is not None
    assert (found.donor, found.step) == (b.trial_id, 5)


def test_before_the_burn_in_nobody_is_taken_over(tmp_path: Path) -> None:
    made = population(tmp_path, grace=3)
    for stage, taken in ((1, False), (2, False), (3, True)):
        rule = rule_of(made)
        rule.take_in(stage, Report(made.trials[0], Reached(5, 1), 0.9))
        verdict = rule.decide(stage, Report(made.trials[1], Reached(5, 1), 0.1), Random(0))
        assert (verdict.takeover is not None) is taken, verdict.why


def test_values_are_multiplied_or_shifted_or_drawn_anew_and_stay_in_the_space(tmp_path: Path) -> None:
    made = population(tmp_path, resample=0.0)
    rule, seen = rule_of(made), set()
    for i in range(200):
        donor = made.trials[i % 8]
        before = donor.optimizer
        values, why = rule.explore(donor, Random(i))
        assert sorted(values) == sorted(SPACE)
        ratio = values["optimizer.lr"] / before.lr
        assert min(abs(ratio - 1.2), abs(ratio - 0.8)) < 1e-5 or values["optimizer.lr"] in (1e-4, 1e-1)
        seen.add(round(ratio, 3))
        assert isinstance(values["optimizer.queries"], int)
        assert 1 <= values["optimizer.queries"] <= 4
        assert values["optimizer.clip"] % 0.5 == 0
        listed = SPACE["optimizer.noise"]["choice"]
        assert abs(listed.index(values["optimizer.noise"]) - listed.index(before.noise)) <= 1
        assert f"optimizer.lr {before.lr} (* " in why
    assert {1.2, 0.8} <= seen


def test_what_is_drawn_anew_is_drawn_of_the_space(tmp_path: Path) -> None:
    made = population(tmp_path, resample=1.0)
    drawn = [rule_of(made).explore(made.trials[0], Random(i))[0] for i in range(300)]
    rates = np.log10([one["optimizer.lr"] for one in drawn])
    assert (rates.min(), rates.max()) == pytest.approx((-4, -1), abs=0.1)
    assert {one["optimizer.queries"] for one in drawn} == {1, 2, 3, 4}
    assert {one["optimizer.noise"] for one in drawn} == set(SPACE["optimizer.noise"]["choice"])


def test_no_global_generator_is_asked_or_moved(tmp_path: Path) -> None:
    made = population(tmp_path)

    def taken(seed: int) -> Any:
        rule = rule_of(made)
        for rank, trial in enumerate(made.trials[1:]):
            rule.take_in(1, Report(trial, Reached(5, 1), 0.5 + rank / 100))
        return rule.decide(1, Report(made.trials[0], Reached(5, 1), 0.1), Random(seed))

    python, numpy = random.getstate(), np.random.get_state()[1].copy()  # type: ignore[index]
    first = taken(0)
    assert random.getstate() == python
    assert (np.random.get_state()[1] == numpy).all()  # type: ignore[index]
    random.seed(1)
    assert taken(0) == first
    assert taken(1) != first


def test_what_an_optimizer_does_not_read_is_not_changed(tmp_path: Path) -> None:
    space = {
        "optimizer.name": {"grid": ["zo-sgd", "zo-adam"]},
        "optimizer.lr": {"loguniform": [1e-4, 1e-1]},
        "optimizer.beta1": {"uniform": [0.5, 0.99]},
    }
    made = population(tmp_path, 1, space)
    rule = rule_of(made)
    plain, adam = (rule.explore(trial, Random(0))[0] for trial in made.trials)
    assert set(plain) == {"optimizer.lr"}
    assert set(adam) == {"optimizer.lr", "optimizer.beta1"}
    assert all(rule.explore(made.trials[1], Random(i))[0]["optimizer.beta1"] < 1 for i in range(50))
