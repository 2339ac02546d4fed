"""The report against numbers worked out by hand, on a small results directory."""

import json
import statistics
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import id_of, pipe_table
from zfscale import report
from zfscale.errors import DataError
from zfscale.records import Eval, Outcome, Status
from zfscale.report.kinds import CLASSES
from zfscale.report.load import contents
from zfscale.report.plot import style
from zfscale.report.rows import OPTIMIZERS, rows, varying
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink

AVERAGES = {0: 0.50, 1: 0.56, 2: 0.62}  # by seed: mean 0.56, sample std 0.06, standard error 0.06 / sqrt(3)


def spec(method, optimizer, seed, lr=0.1, **more):
    return {"method": {"name": method}, "optimizer": {"name": optimizer, "lr": lr, **more}, "seed": seed}


def add(root, given, outcome, stages=()):
    trial_id = id_of(json.dumps(given))
    sink = ParquetSink(About(root, trial_id, json.dumps(given), {"seed": given["seed"]}))
    for k, value in enumerate(stages, start=1):
        sink.eval(Eval(k, 0, "stage_accuracy", value))
        sink.eval(Eval(k, k, "accuracy", 0.0))
    sink.close(outcome)
    return trial_id


def done(average, last=0.4, forgetting=0.1):
    return Outcome(
        Status.FINISHED,
        {
            "avg_accuracy": average,
            "last_accuracy": last,
            "forgetting": forgetting,
            "plasticity": 0.8,
            "seconds": 10.0,
            "forwards": 1200,
            "peak_memory_bytes": 3 * 2**20,
        },
    )


@pytest.fixture
def root(tmp_path):
    """EASE with two optimizers and three seeds, SimpleCIL with one seed, one failure."""
    root = tmp_path / "demo"
    for seed, average in AVERAGES.items():
        add(root, spec("ease", "zo-sgd", seed, lr=0.1), done(average), [0.9, average])
        add(root, spec("ease", "fo-sgd", seed, lr=0.01), done(average - 0.1, last=0.3), [0.9, 0.5])
    add(root, spec("simplecil", "zo-sgd", 0), done(0.7), [0.9, 0.7])
    add(
        root,
        spec("ease", "forward-grad", 1),
        Outcome(Status.FAILED, error="Traceback (most recent call last):\n  at line 3\nOpError: no JVP | here\n"),
    )
    return root


def test_the_table_holds_the_hand_computed_numbers(root):
    table = pipe_table(Path(report.make(root)[1]).read_text())
    assert [(row["method"], row["optimizer"]) for row in table[:3]] == [
        ("simplecil", "none"),
        ("ease", "fo-sgd"),
        ("ease", "zo-sgd"),
    ]
    assert table[2] == {
        "method": "ease",
        "optimizer": "zo-sgd",
        "lr": "0.1",
        "runs": "3",
        "Avg %": "**56.00 ± 3.46**",
        "Last %": "**40.00 ± 0.00**",
        "Fgt %": "10.00 ± 0.00",
        "Plast %": "80.00 ± 0.00",
        "forwards": "1,200",
        "seconds": "10.0 ± 0.0",
    }
    assert table[1]["Avg %"] == "46.00 ± 3.46"
    assert (table[0]["Avg %"], table[0]["seconds"]) == ("70.00", "10.0")


def test_counts_failures_and_title(root):
    text = Path(report.make(root)[1]).read_text()
    assert text.startswith("# demo\n\n7 trials finished, 1 failed.\n")
    (failed,) = [line for line in text.splitlines() if "no JVP" in line]
    assert [cell.strip() for cell in failed.replace("\\|", "/").split(" | ")[2:]] == [
        "ease",
        "forward-grad",
        "1",
        "OpError: no JVP / here |",
    ]


def test_the_console_table_says_the_same(root):
    text = report.make(root)[0]
    assert text.startswith("demo: 7 trials finished, 1 failed.")
    assert "56.00 ± 3.46" in text
    assert "OpError: no JVP | here" in text
    assert "**" not in text


def test_writing_again_changes_no_byte(root):
    path = Path(report.make(root)[1])
    before = [path.read_bytes(), (root / CLASSES.pictures[-1].file).read_bytes()]
    assert [Path(report.make(root)[1]).read_bytes(), (root / CLASSES.pictures[-1].file).read_bytes()] == before


def test_all_but_the_tables_is_ignored(root):
    text = Path(report.make(root)[1]).read_text()
    (root / "trials" / "notes.parquet").write_text("not parquet")
    (root / "wandb").mkdir()
    again = Path(report.make(root)[1]).read_text()
    assert again == f"{text}\n## Ignored: not named by a trial's id\n\n- trials/notes.parquet\n"


def test_the_plot_is_an_image_that_grows_with_the_panels(root):
    report.make(root)
    with Image.open(root / CLASSES.pictures[-1].file) as image:
        assert image.format == "PNG"
        assert image.size == (1344, 608)  # two panels: 8.4 x 3.8 inches at 160 dpi
        assert len(set(image.convert("RGB").getdata())) > 50
    for method in ("finetune", "aper", "memo"):
        add(root, spec(method, "zo-sgd", 0), done(0.5), [0.9, 0.8])
    report.make(root)
    with Image.open(root / CLASSES.pictures[-1].file) as image:
        assert image.size == (1600, 1072)  # five panels: two rows


def test_one_method_is_one_panel(tmp_path):
    add(tmp_path, spec("ease", "zo-sgd", 0), done(0.5), [0.9, 0.8])
    report.make(tmp_path)
    with Image.open(tmp_path / CLASSES.pictures[-1].file) as image:
        assert image.size == (1024, 608)


def test_without_stage_accuracies_there_is_a_line_instead_of_a_plot(tmp_path):
    (tmp_path / CLASSES.pictures[-1].file).touch()
    add(tmp_path, spec("ease", "zo-sgd", 0), done(0.5))
    text = Path(report.make(tmp_path)[1]).read_text()
    assert "Nothing to draw." in text
    assert "![" not in text
    assert not (tmp_path / CLASSES.pictures[-1].file).exists()


def test_a_sweep_where_all_failed_lists_failures_only(tmp_path):
    add(tmp_path, spec("ease", "zo-sgd", 0), Outcome(Status.FAILED, error=None))
    text = Path(report.make(tmp_path)[1]).read_text()
    assert "0 trials finished, 1 failed." in text
    assert "Avg" not in text
    assert report.make(tmp_path)[0].count("\n") == 5


def test_missing_measures_are_dashes(tmp_path):
    add(tmp_path, spec("ease", "zo-sgd", 0), Outcome(Status.FINISHED))
    (row,) = pipe_table(Path(report.make(tmp_path)[1]).read_text())
    assert (row["Avg %"], row["Last %"], row["forwards"]) == ("-", "-", "-")


def test_nothing_is_bold_where_all_are_equal(tmp_path):
    for optimizer in ("zo-sgd", "fo-sgd"):
        for seed in (0, 1):
            add(tmp_path, spec("ease", optimizer, seed), done(0.5))
    assert "**50" not in Path(report.make(tmp_path)[1]).read_text()


@pytest.mark.parametrize("make", [False, True])
def test_a_directory_without_results_is_a_clear_error(tmp_path, make):
    if make:
        (tmp_path / "trials").mkdir()
    message = "no results yet" if make else "is not a results directory"
    with pytest.raises(DataError, match=message):
        report.make(tmp_path)


def test_rows_split_by_what_varies_within_a_name(tmp_path):
    for lr in (1e-5, 0.1):
        add(tmp_path, spec("ease", "zo-sgd", 0, lr=lr, queries=4), done(0.5))
    add(tmp_path, spec("ease", "fo-sgd", 0, lr=0.1, queries=1), done(0.5))
    found = contents(tmp_path).trials
    assert varying(found) == ["optimizer.lr"]  # queries is a function of the optimizer
    assert [(row.optimizer, row.settings["optimizer.lr"]) for row in rows(found)] == [
        ("fo-sgd", 0.1),
        ("zo-sgd", 1e-5),
        ("zo-sgd", 0.1),
    ]


def test_lr_is_shown_where_the_optimizer_decides_it(root):
    assert varying(contents(root).trials) == ["optimizer.lr"]


def test_statistics_agree_with_the_library(root):
    (row,) = [row for row in rows(contents(root).trials) if (row.method, row.optimizer) == ("ease", "zo-sgd")]
    found = row.stats["avg_accuracy"]
    values = list(AVERAGES.values())
    std = statistics.stdev(values)
    assert (found.mean, found.std, found.error) == pytest.approx((statistics.mean(values), std, std / 3**0.5))


def test_names_outside_the_paper_come_last_in_order(tmp_path):
    for method in ("sprompts", "ease", "l2p", "finetune"):
        add(tmp_path, spec(method, "zo-sgd", 0), done(0.5))
    for optimizer in ("zen", "fo-sgd", "custom"):
        add(tmp_path, spec("ease", optimizer, 0), done(0.5))
    found = [(row.method, row.optimizer) for row in rows(contents(tmp_path).trials)]
    assert [m for m, o in found if o == "zo-sgd"] == ["finetune", "ease", "l2p", "sprompts"]
    assert [o for m, o in found if m == "ease"] == ["fo-sgd", "zo-sgd", "custom", "zen"]


def test_every_optimizer_has_its_own_look():
    names = [*OPTIMIZERS, "zen", "custom"]
    assert len({style(name, names) for name in names}) == len(names)
