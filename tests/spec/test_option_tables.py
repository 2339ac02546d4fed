"""The option tables in sweeps/README.md are those that the schema makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from zfscale.cli import main
from zfscale.spec.tables import END, START, markdown

README = Path(__file__).parents[2] / "sweeps" / "README.md"


def test_the_readme_has_the_tables_of_the_schema() -> None:
    _, start, rest = README.read_text().partition(START)
    tables, end, _ = rest.partition(END)
    assert start
    assert end
    assert tables.strip() == markdown(), "write what `zfscale schema --markdown` prints between the markers"


def test_the_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed == markdown() + "\n"
    assert "| `eps` | `0.001` | the zo- optimizers | size of the perturbation |" in printed
    assert "| `seeds` | `[]` | all |" in printed, "a default is written as in a sweep file"
    assert "| `first_order` | `null` | the zo- and forward-grad optimizers |" in printed
