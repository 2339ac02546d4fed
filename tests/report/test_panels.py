"""Pictures of sweeps over several streams: a panel for each, and no row of one in that of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report.test_controls import ADAM, UNTRAINED, ZO, add, control
from zfscale.report import gain, plot
from zfscale.report.controls import Controls, compared
from zfscale.report.kinds import CLASSES
from zfscale.report.load import contents, stage_accuracies
from zfscale.report.panels import panels
from zfscale.report.rows import MOST, best, rows

STREAMS: list[dict[str, Any]] = [{"dataset": "mnist5k", "tasks": 5}, {"dataset": "glyphs", "tasks": 2}]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two methods on two streams; on the second stream, every accuracy is higher."""
    for i, stream in enumerate(STREAMS):
        for method in ("ease", "aper"):
            control(tmp_path, method=method, stream=stream)
            add(tmp_path, method, {"name": "fo-adam", "lr": 0.1}, ADAM + 0.1 * i, stream=stream)
            add(tmp_path, method, {"name": "fo-adam", "lr": 0.2}, ADAM + 0.1 * i - 0.05, stream=stream)
        add(tmp_path, "ease", {"name": "zo-sgd", "lr": 0.1}, ZO, stream=stream)
    return tmp_path


def test_a_panel_is_a_method_on_a_stream(root: Path) -> None:
    found = panels(best(rows(contents(root).trials), CLASSES))
    assert [(panel.method, panel.place) for panel in found] == [
        ("aper", "dataset glyphs, tasks 2"),
        ("aper", "dataset mnist5k, tasks 5"),
        ("ease", "dataset glyphs, tasks 2"),
        ("ease", "dataset mnist5k, tasks 5"),
    ]
    for panel in found:
        assert len({row.optimizer for row in panel.rows}) == len(panel.rows)
        assert len({row.place for row in panel.rows}) == 1
    assert {row.optimizer for row in found[-1].rows} == {"untrained", "fo-adam", "zo-sgd"}


def test_the_best_rate_is_chosen_on_each_stream(root: Path) -> None:
    chosen = [row for row in best(rows(contents(root).trials), CLASSES) if row.optimizer == "fo-adam"]
    assert len(chosen) == 2 * len(STREAMS)
    assert {row.settings["optimizer.lr"] for row in chosen} == {0.1}


def test_both_pictures_have_every_panel(root: Path) -> None:
    table = compared(rows(contents(root).trials))
    shown = best(table, CLASSES)
    left: Any = gain.draw(shown, [Controls.of(table).untrained(row) or row for row in shown])
    curves: Any = plot.draw(shown, stage_accuracies(root, contents(root).finished))
    for figure in (left, curves):
        texts = [text.get_text() for axes in figure.axes for text in axes.texts]
        assert texts.count("dataset glyphs, tasks 2") == texts.count("dataset mnist5k, tasks 5") == 2


def test_a_picture_ends_after_some_streams(tmp_path: Path) -> None:
    for tasks in range(2, MOST + 5):
        add(tmp_path, "ease", {"name": "zo-sgd", "lr": 0.1}, UNTRAINED, stream={"dataset": "glyphs", "tasks": tasks})
    shown = best(rows(contents(tmp_path).trials), CLASSES)
    assert [dict(row.place)["stream.tasks"] for row in shown] == list(range(2, MOST + 2))
