"""The report of domain-incremental trials: hand-computed numbers, the heat map, and both kinds in one directory."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

from tests.conftest import id_of, pipe_table
from zfscale import report
from zfscale.records import Eval, Outcome, Status
from zfscale.report import heat
from zfscale.report.kinds import CLASSES, DOMAINS
from zfscale.report.load import contents, losses
from zfscale.report.rows import best, rows
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink

NAMES = ("licenses", "headers", "code")
BASE = [3.0, 3.5, 2.5]


def add(
    root: Path,
    method: str,
    optimizer: str,
    seed: int,
    final: float,
    order_seed: int | None = None,
    names: Sequence[str] = NAMES,
    odd: Mapping[tuple[int, int], float] = MappingProxyType({}),
) -> str:
    """A finished trial whose loss falls by one where it learns; `final` is its final loss, `odd` are losses given."""
    stream = {"kind": "domain_incremental", "domains": [{"name": n} for n in names], "order_seed": order_seed}
    spec = {"stream": stream, "method": {"name": method}, "optimizer": {"name": optimizer, "lr": 0.1}, "seed": seed}
    trial_id = id_of(f"{method}{optimizer}{seed}")
    sink = ParquetSink(About(root, trial_id, json.dumps(spec), {"seed": seed}))
    for stage in range(2 if method == "joint" else len(names) + 1):
        for j, base in enumerate(BASE[: len(names)], start=1):
            loss = base - (j == stage) + 0.1 * seed * (stage > 0)
            sink.eval(Eval(stage, j, "loss", odd.get((stage, j), loss)))
            sink.eval(Eval(stage, j, "perplexity", 9.0))
    more = {} if method == "joint" else {"forgetting": 0.25, "bwt": -0.25, "fwt": 0.0}
    sink.close(
        Outcome(
            Status.FINISHED,
            {"final_loss": final, "learning_gain": 1.0, "tokens": 640, "seconds": 2.0, "forwards": 8, **more},
        )
    )
    return trial_id


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, final in enumerate([2.0, 2.2, 2.4]):
        add(tmp_path, "sequential", "zo-sgd", seed, final)
        add(tmp_path, "sequential", "fo-adamw", seed, final - 1)
    add(tmp_path, "joint", "fo-adamw", 0, 0.9)
    add(tmp_path, "zero-shot", "fo-adamw", 0, 3.0)
    return tmp_path


def test_the_table_holds_the_hand_computed_numbers(root: Path) -> None:
    table = pipe_table(Path(report.make(root)[1]).read_text())
    places = [(row["method"], row["optimizer"]) for row in table]
    assert places == [
        ("zero-shot", "none"),
        ("sequential", "fo-adamw"),
        ("sequential", "zo-sgd"),
        ("joint", "fo-adamw"),
    ]
    assert table[1]["final"] == "**1.2000 ± 0.2000**"  # the lower of the two is the better
    assert table[2]["final"] == "2.2000 ± 0.2000"
    assert (table[2]["gain"], table[2]["Fgt"], table[2]["BWT"]) == (
        "1.0000 ± 0.0000",
        "0.2500 ± 0.0000",
        "-0.2500 ± 0.0000",
    )
    assert (table[3]["Fgt"], table[3]["tokens"]) == ("-", "640")
    assert "upstream" not in table[0]  # no row has it
    assert "Avg %" not in table[0]


def test_the_heat_map_is_drawn_of_the_mean_over_seeds(root: Path) -> None:
    text = Path(report.make(root)[1]).read_text()
    assert f"![Loss matrix]({DOMAINS.pictures[0].file})" in text
    with Image.open(root / DOMAINS.pictures[0].file) as image:
        assert image.format == "PNG"
        assert len(set(image.convert("RGB").getdata())) > 100
    before = (root / DOMAINS.pictures[0].file).read_bytes()
    report.make(root)
    assert (root / DOMAINS.pictures[0].file).read_bytes() == before
    found = losses(root, contents(root).finished)
    grid = heat._mean([found[id_of(f"sequentialzo-sgd{seed}")] for seed in range(3)])
    assert grid.shape == (4, 3)
    assert grid[0] == pytest.approx(BASE)
    assert grid[2] == pytest.approx([3.1, 2.6, 2.6])  # the seeds add 0, 0.1 and 0.2


@pytest.mark.parametrize("order", [1, -1])
def test_a_mean_that_is_no_number_is_the_worst(tmp_path: Path, order: int) -> None:
    """Whatever the order of the rows, the best of the others is in bold, and leads the board."""
    names = ["fo-adamw", "zo-sgd", "zo-adam"][::order]
    for name, final in zip(names, (math.nan, 1.0, 2.0), strict=True):
        add(tmp_path, "sequential", name, 0, final)
    table = pipe_table(Path(report.make(tmp_path)[1]).read_text())
    assert {row["optimizer"]: row["final"] for row in table} == dict(
        zip(names, ("nan", "**1.0000**", "2.0000"), strict=True)
    )
    board = report.leaders([tmp_path]).splitlines()
    assert [line.split()[1] for line in board if line.startswith("sequential")][:3] == [*names[1:], names[0]]


def drawn(root: Path) -> dict[str, list[str]]:
    """Title of each panel -> the labels of its rows, then the texts of its cells."""
    figure = heat.draw(best(rows(contents(root).trials), DOMAINS), losses(root, contents(root).finished))
    assert figure is not None
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.get_title("left")]
    texts = [[*axes.get_yticklabels(), *axes.texts] for axes in panels]
    return {axes.get_title("left"): [t.get_text() for t in found] for axes, found in zip(panels, texts, strict=True)}


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning")
@pytest.mark.parametrize(("loss", "text"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
@pytest.mark.parametrize("stage", [0, 2])
def test_a_loss_that_is_no_number_is_told_in_the_heat_map(loss: float, text: str, stage: int, tmp_path: Path) -> None:
    add(tmp_path, "sequential", "zo-sgd", 0, 2.0)
    add(tmp_path, "sequential", "fo-sgd", 0, 2.0, odd={(stage, 2): loss})
    found = drawn(tmp_path)
    assert found["sequential, fo-sgd"].count(text) == 1
    assert text not in found["sequential, zo-sgd"]
    report.make(tmp_path)
    with Image.open(tmp_path / DOMAINS.pictures[0].file) as image:
        assert len(set(image.convert("RGB").getdata())) > 100


def test_every_loss_may_be_no_number(tmp_path: Path) -> None:
    add(tmp_path, "sequential", "zo-sgd", 0, 2.0, odd={(i, j): math.nan for i in range(4) for j in (1, 2, 3)})
    assert drawn(tmp_path)["sequential, zo-sgd"].count("nan") == 12


def test_stages_are_named_by_the_method(tmp_path: Path) -> None:
    add(tmp_path, "sequential", "zo-sgd", 0, 2.0, names=NAMES[:1])
    add(tmp_path, "joint", "zo-sgd", 0, 2.0, names=NAMES[:1])
    found = drawn(tmp_path)
    assert found["sequential, zo-sgd"][:2] == ["base", "+ licenses"]
    assert found["joint, zo-sgd"][:2] == ["base", "all"]


def test_domains_are_named_in_order_of_arrival(tmp_path: Path) -> None:
    add(tmp_path, "sequential", "zo-sgd", 0, 2.0, order_seed=3)
    (trial,) = contents(tmp_path).trials
    assert trial.domains == tuple(NAMES[i] for i in np.random.RandomState(3).permutation(3))
    assert trial.domains != NAMES


def test_the_best_setting_has_the_lowest_final_loss(root: Path) -> None:
    add(root, "sequential", "zo-adam", 7, 5.0)
    (row,) = [r for r in best(rows(contents(root).trials), DOMAINS) if r.optimizer == "zo-sgd"]
    assert row.stats["final_loss"].mean == pytest.approx(2.2)


def test_both_kinds_of_stream_have_a_section(root: Path) -> None:
    spec = {"method": {"name": "ease"}, "optimizer": {"name": "zo-sgd", "lr": 0.1}, "seed": 0}
    sink = ParquetSink(About(root, id_of("classes"), json.dumps(spec), {"seed": 0}))
    sink.eval(Eval(1, 0, "stage_accuracy", 0.5))
    sink.close(Outcome(Status.FINISHED, {"avg_accuracy": 0.5, "last_accuracy": 0.5}))
    text = Path(report.make(root)[1]).read_text()
    assert (
        text.index("Avg %")
        < text.index(CLASSES.pictures[-1].heading)
        < text.index(" final |")
        < text.index(DOMAINS.pictures[0].heading)
    )
    assert "50.00" in report.make(root)[0]
    assert "1.2000 ± 0.2000" in report.make(root)[0]
