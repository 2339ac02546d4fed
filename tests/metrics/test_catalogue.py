"""A measure is declared once: nothing but the catalogue, and what computes it, spells its name."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from zfscale.metrics.catalogue import CLASSES, DOMAINS, MEASURES, columns
from zfscale.records import Outcome, Status, Step

PACKAGE = Path(__file__).parents[2] / "zfscale"
# Columns of other tables have these names too, or, of tokens, much else has.
OTHERS = {field.name for field in fields(Step)} | {"tokens"}


def spelled(file: Path) -> set[str]:
    tree = ast.walk(ast.parse(file.read_text()))
    return {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_only_the_catalogue_and_what_computes_them_spell_measures():
    names = {measure.name for measure in MEASURES} - OTHERS
    places = {f.relative_to(PACKAGE).as_posix() for f in PACKAGE.rglob("*.py") if spelled(f) & names}
    trial = {f"trial/{name}.py" for name in ("class_incremental", "domain_incremental", "run")}
    assert places == {"metrics/catalogue.py", "verify/tables.py", *trial}


def test_an_outcome_has_its_measures_as_attributes():
    outcome = Outcome(Status.FINISHED, {"avg_accuracy": 0.5})
    assert (outcome.avg_accuracy, outcome.fwt) == (0.5, None)
    with pytest.raises(AttributeError, match="no attribute 'accuracy'"):
        _ = outcome.accuracy


def test_an_outcome_refuses_what_is_not_declared():
    with pytest.raises(ValueError, match=r"must be in zfscale\.metrics\.catalogue, got avg_acuracy"):
        Outcome(Status.FINISHED, {"avg_acuracy": 0.5})
    with pytest.raises(ValueError, match="'done' is not a valid Status"):
        Outcome("done")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [CLASSES, DOMAINS])
def test_columns_of_a_report_have_places_and_titles_of_their_own(kind):
    found = [column for measure in MEASURES for column in measure.columns if column.kind == kind]
    assert len({column.place for column in found}) == len({column.title for column in found}) == len(found)
    assert next(iter(columns(kind))) in ("avg_accuracy", "final_loss")


LINE = """
    Measure("resilience", "max", (_classes(5, "Resil", 3, 1, meaning="how much it bears"),), searched=True),
"""
WRITE = """
import sys
from zfscale.records import Outcome, Status
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
spec_json = '{"method": {"name": "ease"}, "optimizer": {"name": "zo-sgd"}, "seed": 0}'
"""
OLD = """
ParquetSink(About(sys.argv[1], "0" * 12, spec_json)).close(Outcome(Status.FINISHED, {"avg_accuracy": 0.25}))
"""
NEW = """
from zfscale import report, spec
from zfscale.results.tables import rows
from zfscale.sweep.worker import summary
done = Outcome(Status.FINISHED, {"avg_accuracy": 0.5, "resilience": 0.125})
ParquetSink(About(sys.argv[1], "1" * 12, spec_json.replace('"seed": 0', '"seed": 1'))).close(done)
assert rows(sys.argv[1], "trials", ["resilience"])["resilience"].to_pylist() == [None, 0.125]
assert "resilience" in spec.METRICS and summary(done)["resilience"] == 0.125
report.make(sys.argv[1])
"""


@pytest.fixture
def with_one_more(tmp_path: Path) -> Path:
    """A folder with this package, but for one line more in the catalogue of measures."""
    copy = tmp_path / "zfscale"
    copy.mkdir()
    for part in PACKAGE.iterdir():
        (copy / part.name).symlink_to(part)
    (copy / "metrics").unlink()
    shutil.copytree(PACKAGE / "metrics", copy / "metrics")
    catalogue = copy / "metrics" / "catalogue.py"
    whole = catalogue.read_text()
    end = whole.index("\n)\n", whole.index("\nMEASURES: "))
    catalogue.write_text(whole[:end] + LINE.rstrip() + whole[end:])
    return tmp_path


def test_a_new_measure_is_one_line_and_old_results_read_as_null(tmp_path, with_one_more):
    results = tmp_path / "results"
    for code, package in ((OLD, PACKAGE.parent), (NEW, with_one_more)):
        command = [sys.executable, "-c", WRITE + code, str(results)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(package)}, cwd=tmp_path / "zfscale")
    told = (results / "report.md").read_text()
    assert "| Avg % | Last % | Fgt % | Plast % | Resil |" in " ".join(told.split())
    assert "37.50 ± 12.50" in told
    assert "| 0.125 |" in told
    assert told.count("**Resil**: how much it bears.") == 1
