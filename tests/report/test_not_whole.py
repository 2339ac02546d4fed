"""What a report says of a sweep that ended before all its trials were run, and of trials that read other inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import id_of
from tests.report.test_report import spec as spec_of
from zfscale import report
from zfscale.records import Outcome, Status
from zfscale.results.inputs import as_json
from zfscale.results.plan import Expected, Plan
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink

OVER = "search.until is reached"


def add(root: Path, seed: int, data: str, status: Status = Status.FINISHED, **blocks: Any) -> str:
    """A trial that has ended, whose training data had this hash."""
    given = spec_of("ease", "zo-sgd", seed) | blocks
    trial_id = id_of(json.dumps(given))
    inputs = as_json(["data"], {"data": {"training data": data}})
    error = "boom" if status is Status.FAILED else None
    outcome = Outcome(status, {"avg_accuracy": 0.5, "last_accuracy": 0.5}, inputs=inputs, error=error)
    ParquetSink(About(root, trial_id, json.dumps(given), {"seed": seed})).close(outcome)
    return trial_id


def planned(root: Path, trials: list[str], over: str) -> None:
    Plan({trial: Expected(("kind",), 1.0) for trial in trials}, over=over).write(root)


def texts(root: Path) -> list[str]:
    """All places where a report is read."""
    text, _ = report.make(root)
    return [text, (root / "report.md").read_text(), (root / "report.html").read_text()]


def test_trials_that_were_not_run_are_told_wherever_the_report_is_read(tmp_path: Path) -> None:
    root = tmp_path / "cut_short"
    ended = add(root, 0, "1f")
    planned(root, [ended, "0" * 12, "1" * 12], OVER)
    for text in texts(root):
        assert f"{OVER}: 2 of 3 trials were not run" in text
    planned(root, [ended, "0" * 12, "1" * 12], "")  # interrupted, or still running
    for text in texts(root):
        assert "not run" not in text
    planned(root, [ended], OVER)  # the last of them all
    for text in texts(root):
        assert "not run" not in text


def test_of_several_sweeps_it_is_told_of_which(tmp_path: Path) -> None:
    for name in ("a_1", "b"):
        ended = add(tmp_path / name, 0 if name == "b" else 1, "1f")
        planned(tmp_path / name, [ended, "0" * 12], OVER if name == "a_1" else "")
    text, _ = report.combine([tmp_path / "a_1", tmp_path / "b"], tmp_path / "out")
    assert f"{tmp_path / 'a_1'}: {OVER}: 1 of 2 trials were not run." in text
    assert text.count("not run") == 1


def test_a_damaged_trial_was_run(tmp_path: Path) -> None:
    root = tmp_path / "r"
    ended, damaged = (add(root, seed, "1f") for seed in (0, 1))
    planned(root, [ended, damaged, "0" * 12], OVER)
    file = root / "trials" / f"{damaged}.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    for text in texts(root):
        assert "1 damaged" in text
        assert f"{OVER}: 1 of 3 trials were not run" in text


@pytest.mark.parametrize("status", [Status.FAILED, Status.STOPPED])
def test_trials_that_are_in_no_mean_mix_nothing(status: Status, tmp_path: Path) -> None:
    root = tmp_path / "r"
    add(root, 0, "1f" * 32)
    add(root, 1, "2e" * 32, status)
    for text in texts(root):
        assert "Other inputs" not in text


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ({}, True),
        ({"method": {"name": "aper"}}, True),  # compared with it, in another line of the table
        ({"stream": {"dataset": "mine"}}, False),  # other data under another name
        ({"stream": {"class_order_seed": 3}}, True),
    ],
)
def test_trials_of_other_data_under_one_name_are_told(blocks: dict[str, Any], told: bool, tmp_path: Path) -> None:
    root = tmp_path / "r"
    for seed in (0, 1):
        add(root, seed, "1f" * 32)
    other = add(root, 2, "2e" * 32, **blocks)
    parts = [f"{'1f' * 6} in 2 trials", f"{'2e' * 6} in 1 trial, such as {other}"]
    for text in texts(root):
        assert ("Other inputs under the same name" in text) is told
        assert all((part in text) is told for part in parts)
