"""What `zfscale bench cluster` reckons follows from what was looked at. No time is asserted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zfscale.bench import cluster
from zfscale.cli import main
from zfscale.driver_load import SERVERS, Load, Look
from zfscale.sweep import sleeping

IDLE = 0.01  # of a second in which nothing happens
TRIAL, REPORT = 0.02, 0.002


def looks(load: Load, trial: float = TRIAL, report: float = REPORT) -> list[Look]:
    """Looks, five seconds apart, at a driver of which all is known: 40 s without a trial, then two a second."""
    found = []
    for k in range(9 + load.trials // 10 + 1):
        done = min(max(10 * (k - 8), 0), load.trials)
        driver = 8 + 5 * k * IDLE + done * (trial + load.reports * report)
        found.append(Look(done, 5.0 * k, driver, dict.fromkeys(SERVERS, 0.1 * k), 400 + 0.02 * done))
    return found


def test_costs_are_those_of_the_driver(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(cluster, "looks_at", lambda load: looks(load, report=REPORT * (2 if load.judged else 1)))
    assert main(["bench", "cluster", "--workers", "8", "--trials", "100", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    prices = [found[name] for name in ("idle", "trial", "report", "judged_report")]
    assert prices == pytest.approx([IDLE, TRIAL, REPORT, 2 * REPORT], rel=0.02)
    assert found["cases"]["silent"]["driver_mib_per_1000"] == pytest.approx(20)
    text = cluster.table(found)
    assert "20.00 ms a trial, 2.00 ms a report" in text


def test_gpus_are_what_half_a_driver_bears() -> None:
    prices = {"idle": 0.1, "trial": 0.06, "report": 0.001, "judged_report": 0.002}
    row = next(row for row in cluster.gpus(prices) if row["length"] == "1 minute" and row["reports_an_hour"] == 3600)
    assert (row["report"], row["judged_report"]) == (200, 133)  # 0.4 s over 1 ms + 1 ms, and over 1 ms + 2 ms


def test_trials_that_all_end_between_two_looks_are_counted() -> None:
    seen = [Look(0, 0.0, 1.0, dict.fromkeys(SERVERS, 0.0), 1.0), Look(4, 5.0, 3.0, dict.fromkeys(SERVERS, 1.0), 1.0)]
    found = cluster.figures(Load(2, 4, 0, 0.0), seen)
    assert (found["counted"], found["seconds_a_trial"]["driver"], found["idle"]) == (4, 0.5, None)


def test_a_load_is_a_sweep_of_so_many_trials(tmp_path: Path) -> None:
    from zfscale import spec

    for judged in (False, True):
        sweep = spec.load(sleeping.written(Load(2, 5, 3, 0.0, judged), tmp_path))
        assert len(sweep.trials) == 5
        assert sweep.spec.search.judged is judged


@pytest.mark.long
@pytest.mark.parametrize("nodes", ["1", "2"])
def test_sleeping_trials_are_driven_to_their_ends(nodes: str, capsys: Any) -> None:
    assert main(["bench", "cluster", "--workers", "2", "--trials", "8", "--nodes", nodes, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: case["trials"] for name, case in found["cases"].items()} == {
        "few": 2,
        "silent": 8,
        "telling": 4,
        "judged": 4,
        "flat_out": 16,
    }
    assert all(case["seconds_a_trial"]["driver"] > 0 for case in found["cases"].values())
