"""Tables at equal cost, and what a gain costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.conftest import pipe_table
from tests.report.test_controls import ADAM, UNTRAINED, ZO, add, control
from zfscale import report
from zfscale.report.cuts import cuts, equal
from zfscale.report.load import contents
from zfscale.report.rows import rows

FO, SIX, SLOW = ({"name": name, "lr": 0.1} for name in ("fo-adam", "zo-sgd", "zo-sgd-conserve"))


def sweep(root: Path, lengths: tuple[int, ...] = (2, 4, 8)) -> None:
    """Forwards are 100 an epoch by backpropagation, 200 and 420 without; seconds are 3, 2 and 4.2 an epoch."""
    control(root)
    for epochs in lengths:
        for o, average, forwards, seconds in ((FO, ADAM, 100, 3.0), (SIX, ZO, 200, 2.0), (SLOW, ZO, 420, 4.2)):
            cost = {"forwards": forwards * epochs, "seconds": seconds * epochs}
            add(root, "ease", o, average, epochs=epochs, measures=cost)


def test_one_row_an_optimizer_at_equal_epochs_forwards_and_seconds(tmp_path: Path) -> None:
    sweep(tmp_path)
    found = {
        cut.what: [(r.optimizer, r.settings["train.epochs"]) for r in cut.rows]
        for cut in cuts(rows(contents(tmp_path).trials))
    }
    assert found == {
        "epochs": [("fo-adam", 8), ("zo-sgd", 8), ("zo-sgd-conserve", 8)],
        "forwards": [("fo-adam", 8), ("zo-sgd", 4), ("zo-sgd-conserve", 2)],  # 800, 800 and 840
        "seconds": [("zo-sgd", 8), ("zo-sgd-conserve", 4)],  # 16 and 16.8; 6, 12 and 24 by backpropagation
    }


def test_with_one_length_there_is_no_other_cut(tmp_path: Path) -> None:
    sweep(tmp_path, (4,))
    assert cuts(rows(contents(tmp_path).trials)) == []
    assert "At equal" not in Path(report.make(tmp_path)[1]).read_text()


def test_methods_have_budgets_of_their_own_and_controls_none(tmp_path: Path) -> None:
    sweep(tmp_path)
    for epochs in (1, 2):
        for o in (FO, SIX):
            add(tmp_path, "aper", o, ADAM, epochs=epochs, measures={"forwards": 10 * epochs})
    found = equal(rows(contents(tmp_path).trials), lambda row: row.stats["forwards"].mean)
    assert [(row.method, row.stats["forwards"].mean) for row in found] == [
        ("aper", 20),
        ("aper", 20),
        ("ease", 800),
        ("ease", 800),
        ("ease", 840),
    ]


def test_the_report_has_a_table_for_each_cut(tmp_path: Path) -> None:
    sweep(tmp_path)
    text = Path(report.make(tmp_path)[1]).read_text()
    assert [text.count(f"## At equal {what}\n") for what in ("epochs", "forwards", "seconds")] == [1, 1, 1]
    part = text.split("## At equal forwards\n")[1].split("\n## ")[0]
    assert [(row["optimizer"], row["epochs"]) for row in pipe_table(part)] == [
        ("fo-adam", "8"),
        ("zo-sgd", "4"),
        ("zo-sgd-conserve", "2"),
    ]


def test_what_a_gain_costs(tmp_path: Path) -> None:
    sweep(tmp_path, (4,))
    part = Path(report.make(tmp_path)[1]).read_text().split("## What a gain costs\n")[1].split("\n## ")[0]
    found = {row["optimizer"]: row for row in pipe_table(part)}
    assert list(found) == ["fo-adam", "zo-sgd", "zo-sgd-conserve"]
    gain = 100 * (ADAM - UNTRAINED)
    error = gain.std(ddof=1) / 2
    assert found["fo-adam"]["per 1,000 forwards"] == f"{gain.mean() / 0.4:.2f} ± {error / 0.4:.2f}"
    assert found["fo-adam"]["per second"] == f"{gain.mean() / 12:.2f} ± {error / 12:.2f}"
    assert found["zo-sgd"]["per second"] == f"{100 * np.mean(ZO - UNTRAINED) / 8:.2f} ± 0.06"
