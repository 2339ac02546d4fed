"""The same cells in every format, with names that break formats that are not careful."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.report import odd_names
from zfscale import report
from zfscale.patching import replaced
from zfscale.report import writing
from zfscale.report.comma import comma
from zfscale.report.latex import latex
from zfscale.report.page import HERE, PROGRAMS, VENDOR, programs
from zfscale.report.sheets import NAMES, Sheet
from zfscale.results.layout import PAGE, SHEETS
from zfscale.text_table import Cells


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("odd") / odd_names.FOLDER
    odd_names.classes(root)
    odd_names.domains(root)
    with replaced(writing, "_pictures", lambda *_: []):  # they take their time, and others look at them
        report.make(root)
    return root


def data(page: str) -> dict[str, Any]:
    """The data of a page."""
    found: dict[str, Any] = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    return found


def test_the_page_has_the_cells_of_the_markdown_file(root: Path) -> None:
    shown = data((root / PAGE).read_text())
    markdown = (root / "report.md").read_text()
    numbers = [re.findall(r"\d+\.\d\d \xb1 \d+\.\d\d", " ".join(line)) for line in shown["kinds"][0]["table"]["lines"]]
    assert any(numbers)
    assert all(number in markdown for line in numbers for number in line)
    assert shown["title"] == odd_names.FOLDER
    assert {row[2] for row in shown["kinds"][0]["table"]["lines"][1:]} == set(odd_names.NAMES)
    assert len(shown["runs"]["ids"]) == 5 * len(odd_names.NAMES) + 2


def test_no_name_ends_an_element_of_the_page_or_begins_one(root: Path) -> None:
    page = (root / PAGE).read_text()
    block = page.partition('id="data">')[2].partition("</script>")[0]
    assert not set("<>&") & set(block)
    tags = re.findall(r"<(/?[a-z!-]+)", page.replace(programs(), "").replace(block, ""))
    assert tags.count("script") == tags.count("/script") == 2
    assert "img" not in tags


def test_the_page_loads_nothing_and_runs_nothing_else(root: Path) -> None:
    page = (root / PAGE).read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]+\b(src|href)=\"(?!#)|@import|url\(", page.replace(programs(), ""))


def test_markdown_shows_every_row_on_one_line_and_nothing_live(root: Path) -> None:
    text = (root / "report.md").read_text()
    assert "<script" not in text
    for block in text.split("\n\n"):
        if block.startswith("| "):
            assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in block.splitlines()}) == 1
    assert "\N{GRINNING FACE}" in text
    assert "n" * 300 in text


def test_csv_has_one_record_a_row_and_no_formula(root: Path) -> None:
    with open(root / SHEETS / "class_incremental.csv", newline="", encoding="utf-8") as file:
        head, *lines = list(csv.reader(file))
    assert head[:6] == ["method", "optimizer", "dataset", "lr", "runs", "Avg %"] or "dataset" in head
    assert head[head.index("Avg %") + 1] == "Avg % ±"
    assert {len(line) for line in lines} == {len(head)}
    names = {line[head.index("dataset")] for line in lines}
    assert '\'=HYPERLINK("x")' in names
    assert not any(cell.startswith(("=", "+", "@")) or "\n" in cell for line in lines for cell in line)
    assert all(float(line[head.index("Avg %")]) > 0 for line in lines)


def test_every_written_sheet_has_a_known_name(root: Path) -> None:
    found = {path.stem for path in (root / SHEETS).iterdir()}
    assert found <= set(NAMES)
    assert {
        "class_incremental",
        "domain_incremental",
        "failed_trials",
        "leaderboard_class_incremental_forwards",
    } <= found
    assert {path.suffix for path in (root / SHEETS).iterdir()} == {".csv", ".tex"}


def lone(cells: Cells, bold: frozenset[tuple[int, int]] = frozenset()) -> Sheet:
    return Sheet("x", "x", cells, 1, bold)


def test_latex_of_a_small_table_by_hand() -> None:
    lines = latex(lone([["a_b", "x %"], ["50 % & [c]", "-1.5 ± 0.5"]], frozenset({(0, 1)}))).splitlines()
    assert lines[1:] == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"a\_b & x \% \\",
        r"\midrule",
        r"50 \% \& {[}c{]} & \textbf{$-$1.5 $\pm$ 0.5} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_latex_keeps_no_command_of_a_name_and_breaks_long_ones(root: Path) -> None:
    text = (root / SHEETS / "class_incremental.tex").read_text()
    assert r"\input" not in text
    assert "[grinning face]" in text.replace("{[}", "[").replace("{]}", "]")
    assert r"\parbox[t]" in text
    assert "n" * 20 not in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1


def test_csv_of_a_small_table_by_hand() -> None:
    text = comma(lone([["name", "Avg", "n"], ["-x", "1,234.5 ± 0.5", "3"], ["-", "-", "12"]]))
    assert text.splitlines() == ["name,Avg,Avg ±,n", "'-x,1234.5,0.5,3", ",,,12"]


def test_a_table_that_is_no_more_goes(tmp_path: Path) -> None:
    odd_names.domains(tmp_path)
    old, own = tmp_path / SHEETS / "failed_trials.csv", tmp_path / SHEETS / "mine.csv"
    old.parent.mkdir()
    for file in (old, own):
        file.write_text("x")
    report.make(tmp_path)
    assert not old.exists()
    assert own.exists()


def test_the_vendored_library_is_the_pinned_one() -> None:
    sums = dict(line.split()[::-1] for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {file.name for file in VENDOR.iterdir()} - {"SHA256SUMS"}
    for name, wanted in sums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == wanted
    assert "MIT License" in (VENDOR / "LICENSE").read_text()


def test_the_page_s_files_are_shipped_and_all_programs_are_used() -> None:
    from setuptools.config.pyprojecttoml import read_configuration

    shipped = read_configuration(HERE.parents[2] / "pyproject.toml")["tool"]["setuptools"]["package-data"]["zfscale"]
    found = {path for pattern in shipped for path in HERE.parents[1].glob(pattern) if path.is_file()}
    own = {path for path in HERE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert own <= found
    assert {path.stem for path in (HERE / "js").iterdir()} == set(PROGRAMS)


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here, which checks the syntax of the page's programs")
def test_the_programs_parse(tmp_path: Path) -> None:
    file = tmp_path / "all.js"
    file.write_text(programs())
    done = subprocess.run(["node", "--check", file], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
