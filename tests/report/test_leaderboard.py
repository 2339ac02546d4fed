"""Leaderboards against numbers worked out by hand: equal cost, paired differences, verified cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.test_controls import ADAM, ZO, add
from zfscale import report
from zfscale.cli import main
from zfscale.errors import ZfscaleError
from zfscale.results.certificates import SIGNED, signature, write
from zfscale.results.check import look

FO, SIX = {"name": "fo-adam", "lr": 0.003}, {"name": "zo-sgd", "lr": 0.001}
APART = "14.75 ± 0.48"  # ADAM - ZO: 15, 16, 14 and 14 points; their standard deviation, 0.96, over the root of 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    add(tmp_path, "ease", FO, ADAM)
    add(tmp_path, "ease", SIX, ZO)
    add(tmp_path, "ease", SIX | {"lr": 0.1}, ZO - 0.1)
    add(tmp_path, "ease", {"name": "zo-adam", "lr": 1.0}, ZO, measures={"forwards": 900, "seconds": 9.0})
    return tmp_path


def lines(text: str) -> list[list[str]]:
    """Cells of the first Markdown table, but its head."""
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    end = next((i for i, line in enumerate(found) if i and line[0] == "method"), len(found))
    return found[2:end]


def test_optimizers_at_equal_forwards_against_the_best(root: Path) -> None:
    assert lines(report.leaders([root], markdown=True)) == [
        ["ease", "fo-adam", "zo-sgd", "4", "66.00 ± 2.31", f"**+{APART}**", "400", "1", "-"],
        ["ease", "zo-sgd", "zo-sgd", "4", "51.25 ± 2.50", "-", "400", "2", "-"],
    ]


def test_the_baseline_can_be_named(root: Path) -> None:
    found = lines(report.leaders([root], "fo-adam", markdown=True))
    assert [line[5] for line in found] == ["-", f"**-{APART}**"]
    add(root, "aper", FO, ADAM)
    add(root, "aper", SIX, ADAM, measures={"forwards": 410})
    found = lines(report.leaders([root], "ease/zo-sgd", markdown=True))
    assert [(line[0], line[5]) for line in found] == [
        ("aper", f"**+{APART}**"),
        ("aper", f"**+{APART}**"),
        ("ease", f"**+{APART}**"),
        ("ease", "-"),
    ]
    with pytest.raises(ZfscaleError, match="no such row; did you mean 'zo-sgd'"):
        report.leaders([root], "zo-sdg")


def test_what_took_another_cost_is_not_compared_with_one_cell(root: Path) -> None:
    add(root, "aper", FO, ADAM, measures={"forwards": 600})
    add(root, "aper", SIX, ADAM, measures={"forwards": 600})
    found = lines(report.leaders([root], "ease/zo-sgd", markdown=True))
    assert [line[5] for line in found if line[0] == "aper"] == ["-", "-"]


def test_a_row_is_verified_when_all_its_certificates_hold(root: Path) -> None:
    mine = {row["trial_id"]: row for row in look(root, SIGNED).rows if "fo-adam" in row["spec"]}

    def verified() -> list[str]:
        return [line[-1] for line in lines(report.leaders([root], markdown=True))]

    for trial_id, row in mine.items():
        assert verified() == ["-", "-"]
        write(root, trial_id, {"holds": True, "row": signature(row)})
    assert verified() == ["✓", "-"]
    write(root, min(mine), {"holds": False, "row": signature(mine[min(mine)])})
    assert verified() == ["-", "-"]
    write(root, min(mine), {"holds": True, "row": "that of an earlier run"})
    assert verified() == ["-", "-"]


def test_the_command_says_the_same_and_refuses_what_is_not_there(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leaderboard", str(root)]) == 0
    assert f"+{APART}" in capsys.readouterr().out
    assert main(["leaderboard", str(root), "--baseline", "nobody"]) == 2
    assert main(["leaderboard", str(root / "none")]) == 2


def test_one_optimizer_makes_no_board(tmp_path: Path) -> None:
    add(tmp_path, "ease", FO, ADAM)
    assert "nothing to compare" in report.leaders([tmp_path])
