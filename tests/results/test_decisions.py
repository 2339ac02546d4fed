"""The table of decisions: whole after any kill, appended by every run."""

from __future__ import annotations

import os

import pandas as pd
import pytest

from zfscale.errors import ZfscaleError
from zfscale.results import decisions, patience
from zfscale.results.check import look
from zfscale.results.decisions import CONTINUE, FILE, STOP, Decisions
from zfscale.results.layout import DECISIONS, DECISIONS_JOURNAL
from zfscale.results.storage import storage


def add(kept: Decisions, *stages: int) -> None:
    for stage in stages:
        kept.add("a" * 12, stage, "avg_accuracy", 0.1 * stage, STOP if stage == 3 else CONTINUE, f"rung {stage}")


def test_runs_append_and_any_reader_reads(tmp_path):
    for stages in ((1, 2), (3,)):
        kept = Decisions(tmp_path)
        add(kept, *stages)
        kept.close()
    table = pd.read_parquet(tmp_path / DECISIONS)
    assert list(table["number"]) == [0, 1, 2]
    assert list(table["decision"]) == [CONTINUE, CONTINUE, STOP]
    assert list(table["value"]) == pytest.approx([0.1, 0.2, 0.3])
    assert (table["time"].diff().dropna() >= 0).all()
    assert not look(tmp_path).ignored


def test_a_killed_run_loses_no_decision(tmp_path):
    """Its journal is there, the last line torn; also where the table was written and the journal not yet removed."""
    add(Decisions(tmp_path), 1, 2)
    journal = tmp_path / DECISIONS_JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole[:20])
    again = Decisions(tmp_path)
    assert [row.stage for row in again.rows] == [1, 2]
    assert not journal.exists()
    journal.write_bytes(whole)
    again = Decisions(tmp_path)
    add(again, 3)
    again.close()
    assert list(pd.read_parquet(tmp_path / DECISIONS)["stage"]) == [1, 2, 3]


def test_a_disk_that_takes_part_of_a_line_leaves_no_part(tmp_path, monkeypatch):
    """A full disk takes what there is room for; behind that part nobody would read, if the run is killed."""
    kept, write, calls = Decisions(tmp_path), os.write, []

    def partly(handle, data):
        calls.append(data)
        return write(handle, data[:7] if len(calls) == 2 else data)

    monkeypatch.setattr(os, "write", partly)
    monkeypatch.setattr(patience, "WAITS", (0.0,))
    add(kept, 1, 2, 3)
    assert len(calls) == 4
    assert [row.stage for row in decisions.kept(tmp_path)] == [1, 2, 3]


def test_the_table_grows_while_a_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(decisions, "FOLD_EVERY", -1)
    add(Decisions(tmp_path), 1, 2)
    assert len(pd.read_parquet(tmp_path / DECISIONS)) == 2


def test_a_value_that_is_no_number_is_null(tmp_path):
    kept = Decisions(tmp_path)
    kept.add("a" * 12, 1, "final_loss", None, CONTINUE, "")
    kept.close()
    assert Decisions(tmp_path).rows[0].value is None


def test_a_bucket_has_the_table(tmp_path):
    there = storage(f"file://{tmp_path}", "small")
    kept = Decisions(there)
    add(kept, 1)
    kept.close()
    assert there.exists(FILE)
    assert [row.stage for row in Decisions(there).rows] == [1]


def test_a_damaged_table_is_named(tmp_path):
    kept = Decisions(tmp_path)
    add(kept, 1)
    kept.close()
    (tmp_path / FILE).write_bytes(b"PAR1 and no more")
    with pytest.raises(ZfscaleError, match=r"decisions/decisions\.parquet: damaged .*; remove it"):
        Decisions(tmp_path)
