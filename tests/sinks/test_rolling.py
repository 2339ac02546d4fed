"""Rows can be read while their trial runs, each of them once, whatever is killed and when."""

import json
import logging
import os
import threading
import time
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow.parquet as pq
import pytest

from tests.conftest import id_of
from tests.results import small_results
from tests.results.kills import kills
from zfscale.errors import StorageError
from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.results.attempts import open_ledger, start_attempt
from zfscale.results.check import look
from zfscale.results.layout import STEPS, TABLES, file_of
from zfscale.results.listing import begun
from zfscale.results.missing import root
from zfscale.results.schema import RECORDS
from zfscale.results.storage import Directory, Place, storage
from zfscale.results.tables import rows, statuses
from zfscale.sinks import parquet, rolling
from zfscale.sinks.about import About
from zfscale.sinks.fanout import make_sinks
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import OutputSpec
from zfscale.spec.schema import WandbSpec
from zfscale.spec.sinks import SinkSpec
from zfscale.sweep.driver import begin, forget
from zfscale.watch.logs import logs

T1 = id_of("t1")
STEPS_A_STAGE = 25
FINISHED, FAILED = Outcome(Status.FINISHED, {"forwards": 99}), Outcome(Status.FAILED, error="boom")


@pytest.fixture
def short(monkeypatch):
    """Files of eight rows, and rows that are shown at the end of every stage."""
    monkeypatch.setattr(rolling, "BATCH", 4)
    monkeypatch.setattr(rolling, "PART", 8)
    monkeypatch.setattr(parquet, "STAGE_EVERY", 0.0)
    monkeypatch.setattr(parquet, "SHARE", float("inf"))


def made(there):
    return ParquetSink(About(there, T1, "{}", {}))


def tell(sink, steps=STEPS_A_STAGE, stages=2):
    for stage in range(1, stages + 1):
        for i in range(steps):
            sink.step(Step(stage, i, 0.5, 0.1, 2 * i, 0.1))
            sink.query(Query(stage, i, 0, i, 0.25, 1))
        sink.eval(Eval(stage, 0, "stage_accuracy", 0.5))


def content(there: Place):
    """The rows of the tables beside `trials`, in order."""
    return {table: rows(there, table, RECORDS[table].names).to_pylist() for table in RECORDS}


def whole(there: Path):
    tell(sink := made(there))
    sink.close(FINISHED)
    return content(there)


def test_rows_are_seen_before_the_end_by_every_reader(short, tmp_path):
    tell(made(tmp_path))
    assert not (tmp_path / "trials").exists()
    for table, count in {"evals": 2, "steps": 50, "ledger": 50}.items():
        folder = tmp_path / table
        assert len(pandas.read_parquet(folder)) == len(polars.read_parquet(folder)) == count
        assert len(duckdb.execute(f"from '{folder}/*.parquet'").fetchall()) == count
        assert pandas.read_parquet(folder)["trial_id"].unique().tolist() == [T1]


def test_a_trial_of_few_rows_has_one_file_whatever_its_time(monkeypatch, tmp_path):
    monkeypatch.setattr(parquet, "SHOW_EVERY", 0.0)
    monkeypatch.setattr(parquet, "SHARE", float("inf"))
    tell(sink := made(tmp_path / "slow"))
    assert len(content(tmp_path / "slow")["steps"]) == 49  # the last is told after its time is looked at
    sink.close(FINISHED)
    monkeypatch.undo()
    tell(sink := made(tmp_path / "fast"))
    assert not (tmp_path / "fast").exists()
    sink.close(FINISHED)
    for table in TABLES:
        (slow,), (fast,) = ((tmp_path / name / table).iterdir() for name in ("slow", "fast"))
        assert slow.name == fast.name == f"{T1}.parquet"
        assert slow.read_bytes() == fast.read_bytes()


def test_what_a_stuck_trial_has_told_is_shown_by_another_thread(monkeypatch, tmp_path):
    monkeypatch.setattr(parquet, "SHARE", float("inf"))
    output = OutputSpec(dir=str(tmp_path), wandb=WandbSpec(mode="disabled"), sinks=(SinkSpec(name="jsonl"),))
    tell(sink := make_sinks(About(tmp_path, T1, "{}", {}), output), stages=1)
    sink.show()
    assert not (tmp_path / "steps").exists()  # not so soon
    monkeypatch.setattr(parquet, "SHOW_FIRST", 0.0)
    showing = threading.Thread(target=sink.show)
    showing.start()
    showing.join()
    assert len(content(tmp_path)["steps"]) == STEPS_A_STAGE


def test_two_threads_show_no_more_often_than_one(monkeypatch, tmp_path):
    """A write that takes long makes both wait; the second then finds nothing to do, and lets the pause be."""
    write, entered, writes = Directory.write, threading.Event(), []

    def slow(self, name, content, lasting=True):
        entered.set()
        time.sleep(0.2)
        writes.append(name)
        write(self, name, content, lasting)

    monkeypatch.setattr(Directory, "write", slow)
    monkeypatch.setattr(parquet, "SHOW_FIRST", 0.0)
    sink = made(tmp_path)
    sink._rows[STEPS].add(Step(1, 0, 0.5, 0.1, 2, 0.1))
    first = threading.Thread(target=sink.show)
    first.start()
    assert entered.wait(60)
    second = threading.Thread(target=sink.show)
    second.start()
    first.join()
    second.join()
    assert len(writes) == 1
    assert sink._pause >= 0.2 / parquet.SHARE


def test_many_rows_are_many_files_that_the_trial_knows(short, tmp_path):
    found = whole(tmp_path)
    assert [len(found[table]) for table in ("evals", "steps", "ledger")] == [2, 50, 50]
    assert [row["step"] for row in found["steps"]] == [*range(25), *range(25)]
    files = json.loads(pq.read_table(tmp_path / "trials")["files"][0].as_py())
    assert [one["rows"] for one in (files["steps"], *files["steps"]["more"])] == [8] * 6 + [2]
    assert sorted(path.name for path in (tmp_path / "steps").iterdir())[:2] == [
        f"{T1}.0001.parquet",
        f"{T1}.0002.parquet",
    ]
    assert statuses(tmp_path) == {T1: "finished"}


@pytest.mark.parametrize("number", [0, 1, 6])
@pytest.mark.parametrize("how", ["missing", "changed"])
def test_damage_to_any_of_them_is_named(short, number, how, tmp_path):
    whole(tmp_path)
    file = tmp_path / file_of(STEPS, T1, number)
    file.unlink() if how == "missing" else file.write_bytes(file.read_bytes()[:-1])
    assert [fault.file for fault in look(tmp_path).faults] == [file_of(STEPS, T1, number)]


def test_a_file_too_many_is_damage(short, tmp_path):
    whole(tmp_path)
    there = storage(tmp_path)
    there.write(file_of(STEPS, T1, 7), there.read(file_of(STEPS, T1, 6)) or b"")
    assert [str(fault) for fault in look(there).faults] == [
        f"{file_of(STEPS, T1, 7)}: is none of the files that the trial wrote"
    ]


def test_killed_at_any_write_the_next_attempt_gives_the_same_tables(short, monkeypatch, tmp_path):
    expected = whole(tmp_path / "undisturbed")

    def attempt():
        tell(sink := made(tmp_path / "r"))
        sink.close(FINISHED)

    for _ in kills(monkeypatch, attempt):
        found = content(tmp_path / "r")
        for table in RECORDS:  # what is there is the beginning of what will be, once
            assert found[table] == expected[table][: len(found[table])]
        assert statuses(tmp_path / "r") == {}
    assert content(tmp_path / "r") == expected
    assert statuses(tmp_path / "r") == {T1: "finished"}
    names = [sorted(os.listdir(tmp_path / place / "steps")) for place in ("r", "undisturbed")]
    assert names[0] == names[1]


def test_a_second_attempt_that_tells_less_leaves_nothing_of_the_first(short, monkeypatch, tmp_path):
    def attempt():
        tell(sink := made(tmp_path), stages=1)
        sink.close(FAILED)

    tell(made(tmp_path))
    for _ in kills(monkeypatch, attempt):
        steps = content(tmp_path)["steps"]
        assert len({(row["task"], row["step"]) for row in steps}) == len(steps)
    assert len(content(tmp_path)["steps"]) == STEPS_A_STAGE
    assert not look(tmp_path).faults


def test_a_trial_whose_worker_died_keeps_what_it_has_shown(short, tmp_path):
    tell(made(tmp_path))
    shown = content(tmp_path)
    assert len(shown["steps"]) == 50
    made(tmp_path).close(FAILED)
    assert content(tmp_path) == shown
    assert statuses(tmp_path) == {T1: "failed"}


def test_damaged_rows_of_a_dead_worker_are_not_kept(short, tmp_path):
    tell(made(tmp_path))
    file = tmp_path / file_of(STEPS, T1, 2)
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 16
    file.write_bytes(data)
    made(tmp_path).close(FAILED)
    assert len(content(tmp_path)["steps"]) == 16
    assert statuses(tmp_path) == {T1: "failed"}


def test_a_trial_that_runs_is_not_damaged_and_one_that_lost_its_row_is(short, tmp_path):
    sweep = small_results.sweep(tmp_path)
    there = root(sweep)
    running = sweep.trials[0].trial_id
    sink = ParquetSink(About(there, running, "{}", {}))
    tell(sink)
    assert [fault.trial_id for fault in look(there).faults] == [running]
    start_attempt(there, running)
    ledger = open_ledger(there, running)
    assert begun(there) == {running}
    assert not look(there).faults
    todo = begin(sweep, retry_failed=False)
    assert todo == list(sweep.trials)
    forget(there, todo)
    assert len(content(there)["steps"]) == 50
    assert "last of 50 steps" in logs(there, running)
    sink.close(FAILED)
    ledger.remove()
    assert begun(there) == set()
    there.remove(file_of("trials", running))
    assert [fault.trial_id for fault in look(there).faults] == [running]
    forget(there, todo)
    assert not any(content(there).values())


def test_a_disk_that_refuses_for_a_while_only_delays_what_is_shown(short, monkeypatch, tmp_path, caplog):
    def refuse(self, name, content):
        raise StorageError("no space")

    sink = made(tmp_path)
    with monkeypatch.context() as full, caplog.at_level(logging.WARNING):
        full.setattr(Directory, "write", refuse)
        tell(sink, steps=2, stages=1)
        assert "no space; rows are shown later" in caplog.text
    assert not (tmp_path / "steps").exists()
    tell(sink, steps=2, stages=1)
    assert len(content(tmp_path)["steps"]) == 4
    sink.close(FINISHED)
    assert len(content(tmp_path)["steps"]) == 4


def test_memory_holds_a_part_at_most(short, tmp_path):
    sink = made(tmp_path)
    for i in range(1000):
        sink.step(Step(1, i, 0.5, 0.1, 2 * i, 0.1))
        mine = sink._rows[STEPS]
        assert len(mine._records) + sum(map(len, mine._batches)) <= rolling.PART
