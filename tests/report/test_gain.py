"""The picture of what training buys and costs, on results that are written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.report.test_controls import ADAM, UNTRAINED, ZO, add, control
from zfscale import report
from zfscale.report import gain
from zfscale.report.controls import Controls, compared
from zfscale.report.load import contents
from zfscale.report.rows import rows
from zfscale.results.layout import GAIN_PICTURE


def drawn(root: Path):
    table = compared(rows(contents(root).trials))
    return gain.draw(table, [Controls.of(table).untrained(row) or row for row in table])


def test_dots_stand_at_the_gains_and_the_seconds_above_the_control(tmp_path: Path):
    control(tmp_path)
    add(tmp_path, "ease", {"name": "fo-adam", "lr": 0.1}, ADAM)
    add(tmp_path, "ease", {"name": "zo-sgd", "lr": 0.1}, ZO)
    add(tmp_path, "simplecil", {"name": "fo-sgd", "lr": 0.1}, UNTRAINED + 0.03)
    figure: Any = drawn(tmp_path)
    left, right = figure.axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["fo-adam", "zo-sgd"]
    dots: list[Any] = [container.lines[0].get_xydata()[0] for container in left.containers]
    np.testing.assert_allclose(np.array(dots).ravel(), [20.0, 0.0, 5.25, -1.0])
    ends = left.containers[0].lines[2][0].get_segments()[0][:, 0]
    error = 100 * np.std(ADAM - UNTRAINED, ddof=1) / 2
    np.testing.assert_allclose(np.array(ends, float), 20 + np.array([-error, error]))
    assert [c.lines[0].get_xydata()[0][0] for c in right.containers] == [2, 2]
    (other,) = left.texts
    assert other.get_text() == "simplecil"
    assert other.xy[0] == pytest.approx(3)


def test_what_stands_on_other_data_is_not_compared(tmp_path: Path):
    one, other = ({"dataset": name} for name in ("mnist5k", "glyphs"))
    control(tmp_path, stream=one)
    control(tmp_path, stream=other)
    add(tmp_path, "ease", {"name": "zo-sgd", "lr": 0.1}, ZO, stream=one)
    add(tmp_path, "simplecil", {"name": "fo-sgd", "lr": 0.1}, UNTRAINED + 0.3, stream=other)
    add(tmp_path, "ranpac", {"name": "fo-sgd", "lr": 0.1}, UNTRAINED + 0.1, stream=one, epochs=1)
    figure: Any = drawn(tmp_path)
    assert [text.get_text() for text in figure.axes[0].texts] == ["dataset mnist5k", "ranpac"]


def test_without_a_control_there_is_no_such_picture(tmp_path: Path):
    add(tmp_path, "ease", {"name": "zo-sgd", "lr": 0.1}, ZO)
    assert drawn(tmp_path) is None
    (tmp_path / GAIN_PICTURE).touch()
    text = Path(report.make(tmp_path)[1]).read_text()
    assert not (tmp_path / GAIN_PICTURE).exists()
    assert "What training buys" not in text
    assert "## Accuracy per stage" in text
