"""Controls, gain, recovered gain, memory and bold, on results that are written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import id_of, pipe_table
from zfscale import report
from zfscale.records import Eval, Outcome, Status
from zfscale.report.controls import compared
from zfscale.report.load import contents
from zfscale.report.rows import rows
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink

RUNS = [(seed, order) for seed in (0, 1) for order in (1993, 7)]
UNTRAINED = np.array([0.50, 0.40, 0.52, 0.42])
ADAM = UNTRAINED + np.array([0.20, 0.22, 0.18, 0.20])
ZO = UNTRAINED + np.array([0.05, 0.06, 0.04, 0.06])
CUDA = json.dumps({"memory": "allocator"})


def add(
    root: Path,
    method: str,
    optimizer: dict[str, Any],
    averages: np.ndarray,
    versions: str = "",
    epochs: int = 5,
    **more: Any,
) -> None:
    """A trial of each run."""
    for (seed, order), average in zip(RUNS, averages, strict=True):
        stream = {"kind": "class_incremental", "class_order_seed": order, **more.get("stream", {})}
        spec = {
            "stream": stream,
            "method": {"name": method},
            "optimizer": optimizer,
            "train": {"epochs": epochs},
            "seed": seed,
        }
        measures = {"avg_accuracy": float(average), "last_accuracy": 0.6, "forgetting": 0.1, "seconds": 2.0}
        measures |= {"forwards": 400, "peak_memory_bytes": 7 << 20, **more.get("measures", {})}
        sink = ParquetSink(About(root, id_of(json.dumps(spec)), json.dumps(spec), {"seed": seed}))
        sink.eval(Eval(1, 0, "stage_accuracy", float(average)))
        sink.close(Outcome(Status.FINISHED, measures, versions=versions, inputs=more.get("inputs")))


def control(root: Path, method: str = "ease", averages: np.ndarray = UNTRAINED, **more: Any) -> None:
    idle = {"forwards": 0, "seconds": 0.0, "peak_memory_bytes": 3 << 20}
    add(root, method, {"name": "fo-sgd", "lr": 0.0}, averages, measures=idle, **more)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    control(tmp_path)
    add(tmp_path, "ease", {"name": "fo-adam", "lr": 0.003}, ADAM)
    add(tmp_path, "ease", {"name": "zo-sgd", "lr": 0.001}, ZO)
    for name in ("fo-sgd", "zo-sgd"):  # as results of earlier versions have it: once an optimizer
        add(tmp_path, "simplecil", {"name": name, "lr": 0.001}, UNTRAINED + 0.1)
    return tmp_path


def table(root: Path) -> dict[tuple[str, str], dict[str, str]]:
    whole = Path(report.make(root)[1]).read_text().split("\n## ")[0]
    return {(row["method"], row["optimizer"]): row for row in pipe_table(whole)}


def test_controls_are_rows_of_their_own_with_each_run_once(root: Path) -> None:
    found = table(root)
    names = [("simplecil", "none"), ("ease", "untrained"), ("ease", "fo-adam"), ("ease", "zo-sgd")]
    assert list(found) == names
    assert {found[name]["runs"] for name in names} == {"4"}
    assert [found[name]["lr"] for name in names] == ["-", "-", "0.003", "0.001"]


def test_a_control_is_one_row_whatever_its_epochs(root: Path) -> None:
    control(root, epochs=9)
    add(root, "ease", {"name": "zo-sgd", "lr": 0.001}, ZO, epochs=9)
    (row,) = of(root, "untrained")
    assert (len(row.trials), row.settings["train.epochs"]) == (4, None)


def test_seeds_and_class_orders_are_runs_of_one_row(root: Path) -> None:
    found = table(root)["ease", "zo-sgd"]
    assert "class_order_seed" not in found
    error = 100 * ZO.std(ddof=1) / 2
    assert found["Avg %"] == f"{100 * ZO.mean():.2f} ± {error:.2f}"


def test_gain_and_recovered_gain(root: Path) -> None:
    found = table(root)
    x, y = ZO - UNTRAINED, ADAM - UNTRAINED
    share = x.mean() / y.mean()
    error = np.std(x - share * y, ddof=1) / 2 / y.mean()
    assert found["ease", "zo-sgd"]["gain %"] == f"**{100 * x.mean():.2f} ± {100 * x.std(ddof=1) / 2:.2f}**"
    assert found["ease", "zo-sgd"]["recovered %"] == f"{100 * share:.1f} ± {100 * error:.1f}"
    assert found["ease", "fo-adam"]["recovered %"] == "100.0 ± 0.0"
    for name in (("ease", "untrained"), ("simplecil", "none")):
        assert (found[name]["gain %"], found[name]["recovered %"]) == ("-", "-")


def test_what_is_ahead_of_every_row_of_its_method_is_in_bold(root: Path) -> None:
    bold = [name for name, row in table(root).items() if "**" in row["Avg %"]]
    assert bold == [("ease", "fo-adam")]
    noise = np.array([0.05, -0.05, 0.05, -0.06])
    add(root, "ease", {"name": "fo-sgd", "lr": 0.1}, ADAM + noise)
    assert not [name for name, row in table(root).items() if "**" in row["Avg %"]]  # within two standard errors


def test_a_gain_within_two_errors_is_not_in_bold(root: Path) -> None:
    add(root, "ease", {"name": "zo-adam", "lr": 0.1}, UNTRAINED + np.array([0.03, -0.02, 0.03, -0.02]))
    assert table(root)["ease", "zo-adam"]["gain %"].startswith("0.50 ± ")


def test_without_a_control_or_a_gain_of_the_reference_nothing_is_recovered(tmp_path: Path) -> None:
    add(tmp_path, "ease", {"name": "fo-adam", "lr": 0.003}, UNTRAINED + np.array([0.1, -0.1, 0.1, -0.08]))
    add(tmp_path, "ease", {"name": "zo-sgd", "lr": 0.001}, ZO)
    assert "gain %" not in table(tmp_path)["ease", "zo-sgd"]
    control(tmp_path, "aper")  # of another method
    assert "gain %" not in table(tmp_path)["ease", "zo-sgd"]
    control(tmp_path)
    found = table(tmp_path)["ease", "zo-sgd"]
    assert "gain %" in found
    assert "recovered %" not in found


def test_a_control_is_of_the_same_stream_and_whatever_length(root: Path) -> None:
    """Another number of tasks has another control; other epochs have not."""
    add(root, "ease", {"name": "zo-sgd", "lr": 0.001}, ZO, epochs=9)
    add(root, "ease", {"name": "zo-sgd", "lr": 0.001}, ZO, stream={"tasks": 20})
    found = {(row.settings["train.epochs"], row.settings["stream.tasks"]): row for row in of(root, "zo-sgd")}
    assert found[9, None].stats["gain"].mean == pytest.approx((ZO - UNTRAINED).mean())
    assert found[9, None].stats["recovered"].mean is None  # the reference did not run as long
    assert found[5, 20].stats["gain"].mean is None


def of(root: Path, optimizer: str) -> list[Any]:
    return [row for row in compared(rows(contents(root).trials)) if row.optimizer == optimizer]


def test_the_reference_is_the_best_of_its_rates(root: Path) -> None:
    add(root, "ease", {"name": "fo-adam", "lr": 1.0}, UNTRAINED + 0.01 * np.arange(4))
    (row,) = of(root, "zo-sgd")
    assert row.stats["recovered"].mean == pytest.approx((ZO - UNTRAINED).mean() / (ADAM - UNTRAINED).mean())


def test_memory_is_shown_above_the_control_and_of_an_allocator_only(tmp_path: Path) -> None:
    for versions, shown in (("", False), (CUDA, True)):
        root = tmp_path / str(shown)
        control(root, versions=versions)
        add(root, "ease", {"name": "zo-sgd", "lr": 0.001}, ZO, versions=versions)
        found = table(root)["ease", "zo-sgd"]
        assert found.get("MiB above") == ("4.0 ± 0.0" if shown else None)
        assert "peak MiB" not in found
        assert ("**MiB above**" in (root / "report.md").read_text()) == shown


def test_the_error_of_the_images_is_told_once(root: Path) -> None:
    assert "One accuracy" not in Path(report.make(root)[1]).read_text()  # earlier versions did not count them
    add(root, "ease", {"name": "zo-adam", "lr": 0.001}, ZO, measures={"evaluated_images": 1000})
    text = Path(report.make(root)[1]).read_text()
    assert text.count("One accuracy of 60.0 % on 1,000 test images has a standard error of 1.55 points.") == 1
    stream, counted = {"validation": 0.2}, {"evaluated_images": 400}
    add(root, "ease", {"name": "zo-adam", "lr": 0.001}, ZO, stream=stream, measures=counted)
    assert "on 400 validation images has a standard error of 2.45" in Path(report.make(root)[1]).read_text()
