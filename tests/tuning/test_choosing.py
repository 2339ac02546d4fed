"""The best mean over seeds is chosen, what failed is not, and what was spent is told."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.spec.test_spec_space import TEMPLATE, sweep
from zfscale.errors import ZfscaleError
from zfscale.records import Outcome, Status
from zfscale.results.missing import root
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import load
from zfscale.spec.fairness import replaced
from zfscale.tuning.cells import cells
from zfscale.tuning.choosing import Chosen, choose
from zfscale.tuning.planning import Candidate, Plan, of_search
from zfscale.tuning.writing import tuned_text

RATES = [1e-3, 1e-2, 1e-1]
SEARCH = {"budget": 10_000, "seeds": [100, 101], "space": {"*": {"optimizer.lr": {"grid": RATES}}}}


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    """Three rates on two seeds, of one cell."""
    found = sweep(tmp_path, {}, search=SEARCH, output={"dir": str(tmp_path / "results")})
    (cell,) = cells(found)
    trials = [tuple(replaced(of_search(cell.trial, found, s), {"optimizer.lr": r}) for s in (100, 101)) for r in RATES]
    return Plan([(cell, [Candidate({"optimizer.lr": r}, t, 50) for r, t in zip(RATES, trials, strict=True)])], found)


def ran(made: Plan, *accuracies: tuple[float | None, float | None]) -> None:
    """Write the results of the candidates; None is a trial that failed."""
    for candidate, values in zip(made.tried[0][1], accuracies, strict=True):
        for trial, value in zip(candidate.trials, values, strict=True):
            measures: dict[str, Any] = {"avg_accuracy": value, "forgetting": value, "forwards": 20}
            outcome = (
                Outcome(Status.FAILED, {"forwards": 4}, error="nan")
                if value is None
                else Outcome(Status.FINISHED, measures)
            )
            ParquetSink(About(root(made.sweep), trial.trial_id, trial.to_json(), {})).close(outcome)


def choice(made: Plan) -> Chosen:
    """What is chosen by the file as it is now."""
    trials = tuple(trial for candidate in made.tried[0][1] for trial in candidate.trials)
    (found,) = choose(Plan(made.tried, replace(load(made.sweep.path), trials=trials)), root(made.sweep))
    return found


def test_the_best_mean_wins_and_the_middle_is_no_edge(made: Plan) -> None:
    ran(made, (0.9, 0.1), (0.6, 0.7), (0.6, 0.6))
    found = choice(made)
    assert found.entry.values == {"optimizer.lr": 1e-2}
    assert found.score == pytest.approx(0.65)
    assert (found.entry.forwards, found.entry.trials) == (6 * 20, 6)
    assert found.entry.where == {"method.name": "ease", "optimizer.name": "zo-sgd"}
    assert found.warning == ""


def test_an_edge_is_warned_of_and_stands_in_the_file(made: Plan, tmp_path: Path) -> None:
    ran(made, (0.5, 0.5), (0.6, 0.6), (0.7, 0.7))
    found = choice(made)
    assert "ease, zo-sgd: optimizer.lr 0.1 is at the edge" in found.warning
    text = tuned_text(made.sweep, [found])
    assert "#   WARNING: ease, zo-sgd: optimizer.lr 0.1 is at the edge" in text
    assert "0.7000 by optimizer.lr 0.1 of [0.001, 0.01, 0.1]; spent 120 forwards on 3 of 3 candidates, 6 trials" in text


def test_a_failed_trial_costs_its_plan_and_is_not_chosen(made: Plan) -> None:
    ran(made, (0.5, 0.5), (0.6, 0.6), (0.9, None))
    found = choice(made)
    assert found.entry.values == {"optimizer.lr": 1e-2}
    assert (found.entry.forwards, found.failed) == (2 * 2 * 20 + 50, 1)


def test_the_smallest_where_the_file_says_so(made: Plan) -> None:
    content = made.sweep.path.read_text().replace("budget: 10000", "budget: 10000\n  metric: forgetting\n  mode: min")
    made.sweep.path.write_text(content)
    ran(made, (0.5, 0.5), (0.4, 0.4), (0.6, 0.6))
    assert choice(made).entry.values == {"optimizer.lr": 1e-2}


def test_a_candidate_that_is_infinite_both_ways_is_not_chosen(made: Plan) -> None:
    ran(made, (math.inf, -math.inf), (0.2, 0.2), (0.1, 0.1))
    assert choice(made).entry.values == {"optimizer.lr": 1e-2}


def test_nothing_but_failures_is_an_error(made: Plan) -> None:
    ran(made, (None, 0.5), (None, None), (0.5, None))
    with pytest.raises(ZfscaleError, match="ease, zo-sgd: no candidate has a result"):
        choice(made)


def test_the_file_reads_back_with_texts_that_look_like_numbers(made: Plan, tmp_path: Path) -> None:
    ran(made, (0.5, 0.5), (0.6, 0.6), (0.1, 0.1))
    found = sweep(tmp_path, {}, "output.wandb.project='1e-5'", search=SEARCH, output={"dir": str(tmp_path / "results")})
    out = tmp_path / "tuned.yaml"
    out.write_text(tuned_text(found, [choice(made)]))
    again = load(out)
    assert again.spec.output.wandb.project == "1e-5"
    assert [trial.optimizer.lr for trial in again.trials] == [1e-2]
    assert {k: v for k, v in again.document.data.items() if k != "tuned"} == found.document.data
    assert TEMPLATE["optimizer"]["lr"] == 1e-3  # which the file still says
