"""Names of any characters: the report is one table, without live HTML, on any path and terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import id_of
from zfscale import report
from zfscale.records import Outcome, Status
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink

ODD = ["q_proj|v_proj", "`a`|b", "<script>x</script>", "a\nb", "\\|", "**b**", "[x](y)", "\x1b[31m", "&lt;"]


def add(root, name, seed, outcome):
    spec = {
        "method": {"name": "ease"},
        "optimizer": {"name": "zo-sgd", "lr": 0.1},
        "model": {"train": name},
        "seed": seed,
    }
    ParquetSink(About(root, id_of(f"{name}{seed}"), json.dumps(spec), {"seed": seed})).close(outcome)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "a|<b>`"
    for name in ODD:
        for seed, average in enumerate([0.5, 0.6]):
            add(root, name, seed, Outcome(Status.FINISHED, {"avg_accuracy": average, "last_accuracy": 0.4}))
        add(root, name, 7, Outcome(Status.FAILED, error=f"Traceback\nOpError: {name}"))
    return root


def test_every_row_has_the_columns_of_its_table_and_no_html_is_live(root):
    text = Path(report.make(root)[1]).read_text()
    assert "<" not in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    assert [len(lines) for lines in tables] == [2 + len(ODD), 2 + len(ODD)]
    for lines in tables:
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}) == 1
        assert not any("`" in re.sub(r"\\.", "", line) for line in lines)


def test_a_terminal_of_ascii_and_a_path_that_is_not_utf8(root, tmp_path):
    odd = os.fsencode(tmp_path) + b"/\xff"
    os.rename(root, odd)
    for coding in ("ascii", "utf-8"):
        done = subprocess.run(
            [os.fsencode(sys.executable), b"-m", b"zfscale", b"report", odd],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": coding},
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        assert ("55.00 +- 5.00" if coding == "ascii" else "55.00 ± 5.00").encode() in done.stdout
