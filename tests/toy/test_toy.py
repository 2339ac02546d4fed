"""`zfscale toy`: the files that it writes and the table that it prints."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from zfscale.cli import main
from zfscale.toy.loss import STARTS, losses
from zfscale.toy.plot import draw
from zfscale.toy.race import run
from zfscale.toy.racers import DEFAULT, racer

NAMES = ["fo-sgd", "zo-adam", "zo-sgd+hybrid"]


def test_figures_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = [word for name in NAMES for word in ("--optimizer", name)]
    assert main(["toy", "--out", str(tmp_path), "--steps", "5", *chosen]) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"start_A.png", "start_B.png", "trajectories.parquet"}
    rows = pq.read_table(tmp_path / "trajectories.parquet").to_pylist()
    assert len(rows) == len(STARTS) * len(NAMES) * 6
    assert {(row["start"], row["optimizer"]) for row in rows} == {(start, name) for start in STARTS for name in NAMES}
    assert {(row["t1"], row["t2"]) for row in rows if row["step"] == 0} == set(STARTS.values())
    import torch

    for row in rows:
        old, new = losses(torch.tensor([row["t1"], row["t2"]], dtype=torch.float64))
        assert (row["L1"], row["L2"]) == (pytest.approx(float(old)), pytest.approx(float(new)))
    printed = capsys.readouterr().out.splitlines()
    last = next(row for row in rows if row["step"] == 5 and row["optimizer"] == "zo-adam")
    line = next(line.split() for line in printed if "zo-adam" in line)
    assert line[:2] == ["A", "zo-adam"]
    assert line[-3:] == [f"{value:.2f}" for value in (last["L1"], last["L2"], last["L1"] + last["L2"])]
    assert all(Image.open(tmp_path / f"start_{start}.png").width > 800 for start in STARTS)


def test_one_start(tmp_path: Path) -> None:
    assert main(["toy", "--out", str(tmp_path), "--steps", "2", "--start", "B", "--optimizer", "fo-sgd"]) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"start_B.png", "trajectories.parquet"}


@pytest.mark.parametrize(("option", "value", "says"), [("--optimizer", "zo-sdg", "did you mean 'zo-sgd'?")])
def test_a_mistake_costs_one_line(
    option: str, value: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["toy", "--out", str(tmp_path), option, value]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_optimizer_is_drawn_once() -> None:
    figure = draw([run(racer(name, 2), "A", 2) for name in DEFAULT])
    shown = [text.get_text() for panel in figure.axes if (legend := panel.get_legend()) for text in legend.get_texts()]
    assert sorted(shown) == sorted(DEFAULT)
