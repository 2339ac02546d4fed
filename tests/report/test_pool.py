"""Several sweeps in one report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import pipe_table
from tests.report.test_controls import ADAM, ZO, add
from zfscale import report
from zfscale.cli import main
from zfscale.errors import DataError
from zfscale.report.pool import pool
from zfscale.results.inputs import OtherInputs, as_json
from zfscale.results.layout import PAGE

FO, SIX = {"name": "fo-adam", "lr": 0.003}, {"name": "zo-sgd", "lr": 0.001}


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """The first has one optimizer, the second both."""
    one, other = tmp_path / "one", tmp_path / "other"
    add(one, "ease", FO, ADAM)
    shutil.copytree(one, other)
    add(other, "ease", SIX, ZO)
    return one, other


def test_trials_of_both_are_in_one_table_once(two: tuple[Path, Path], tmp_path: Path) -> None:
    _, file = report.combine(two, tmp_path / "out")
    text = Path(file).read_text()
    assert [(row["optimizer"], row["runs"], row["Avg %"]) for row in pipe_table(text)] == [
        ("fo-adam", "4", "**66.00 ± 2.31**"),
        ("zo-sgd", "4", "51.25 ± 2.50"),
    ]
    assert text.startswith("# one + other\n\n8 trials finished, 0 failed.")
    assert "4 of its trials are in" in text
    assert (tmp_path / "out" / PAGE).exists()
    assert not (two[0] / PAGE).exists()


def test_other_results_of_one_trial_are_told_of(two: tuple[Path, Path], tmp_path: Path) -> None:
    third = tmp_path / "third"
    add(third, "ease", FO, ADAM + 0.01)
    found = pool([two[0], third]).contents
    assert [trial.measures["avg_accuracy"] for trial in found.trials] == [
        trial.measures["avg_accuracy"] for trial in pool([two[0]]).contents.trials
    ]
    assert sum("other results" in line for line in found.twice) == 4


def test_several_need_a_place_and_it_is_none_of_theirs(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [str(root) for root in two]
    assert main(["report", *both]) == 2
    assert "--out" in capsys.readouterr().err
    assert main(["report", *both, "--out", both[0]]) == 2
    assert main(["report", *both, "--out", str(tmp_path / "out")]) == 0
    assert str(tmp_path / "out" / "report.md") in capsys.readouterr().out
    with pytest.raises(DataError, match="own report would be replaced"):
        report.combine(two, two[1])


def test_other_weights_under_one_name_are_refused(tmp_path: Path) -> None:
    for folder, optimizer, weights in (("a", FO, "1f"), ("b", SIX, "2e"), ("c", SIX, "1f")):
        add(tmp_path / folder, "ease", optimizer, ADAM, inputs=as_json(["model"], {"model": {"base weights": weights}}))
    with pytest.raises(OtherInputs, match=r"base weights of trial .* differ, though their specs name the same"):
        pool([tmp_path / "a", tmp_path / "b"])
    assert len(pool([tmp_path / "a", tmp_path / "c"]).contents.trials) == 8


def test_sweeps_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder, optimizer in (("a", FO), ("b", SIX)):
        add(tmp_path / folder / "same", "ease", optimizer, ADAM)
    found = pool([tmp_path / "a" / "same", tmp_path / "b" / "same", tmp_path / "a" / "same"])
    assert found.title == f"{tmp_path}/a/same + {tmp_path}/b/same"
