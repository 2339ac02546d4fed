"""The tables are plain, typed, whole, and a trial is in them once."""

import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import id_of
from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.results import tables as read
from zfscale.results.layout import TABLES
from zfscale.results.schema import RECORDS
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink

T1, T2 = id_of("t1"), id_of("t2")
LEAVES = {"method.name": "ease", "optimizer.lr": 0.1, "seed": 3, "train.amp": False, "optimizer.beta": None}
FINISHED = Outcome(
    Status.FINISHED,
    {
        "avg_accuracy": 0.5,
        "last_accuracy": 0.4,
        "forgetting": 0.1,
        "bwt": -0.1,
        "seconds": 1.5,
        "forwards": 8,
        "peak_memory_bytes": 9,
    },
    versions="{}",
)


def write(root, trial_id=T1, outcome=FINISHED, leaves=LEAVES, steps=3, types=None):
    sink = ParquetSink(About(root, trial_id, json.dumps(leaves), leaves, types or {}))
    for i in range(steps):
        sink.step(Step(1, i, 0.5, 0.1, 2 * i, 0.1))
        sink.query(Query(1, i, 0, (-1) ** i * (2**62 + i), 0.25, -1))
    sink.eval(Eval(1, 1, "accuracy", 0.5))
    sink.eval(Eval(1, 0, "stage_accuracy", 0.5))
    sink.close(outcome)
    return sink


def test_every_table_has_its_rows_and_types(tmp_path):
    write(tmp_path)
    for table, schema in RECORDS.items():
        found = pq.read_table(tmp_path / table / f"{T1}.parquet")
        assert found.schema.equals(schema)
        assert set(found["trial_id"].to_pylist()) == {T1}
    ledger = pq.read_table(tmp_path / "ledger" / f"{T1}.parquet")
    assert ledger["seed"].to_pylist() == [2**62, -(2**62) - 1, 2**62 + 2]
    assert pq.read_table(tmp_path / "steps" / f"{T1}.parquet").num_rows == 3


def test_the_trials_row_holds_spec_leaves_and_outcome(tmp_path):
    write(tmp_path)
    table = pq.read_table(tmp_path / "trials" / f"{T1}.parquet")
    (row,) = table.to_pylist()
    assert row["status"] == "finished"
    assert json.loads(row["spec"]) == LEAVES
    assert row["optimizer.lr"] == 0.1
    assert row["avg_accuracy"] == 0.5
    assert row["fwt"] is None
    kinds = {name: table.schema.field(name).type for name in LEAVES}
    assert list(kinds.values()) == [pa.string(), pa.float64(), pa.int64(), pa.bool_(), pa.string()]
    assert table.column_names[:3] == ["trial_id", "status", "spec"]
    assert table.column_names[-4:] == ["url", "inputs", "weights", "files"]


def test_one_line_opens_each_table_in_every_reader(tmp_path):
    for trial_id in (T1, T2):
        write(tmp_path, trial_id)
    (tmp_path / ".tmp" / "t3.trials.stale").write_bytes(b"PAR1 half a file")
    for table, n in zip(TABLES, (2, 4, 6, 6), strict=True):
        directory = tmp_path / table
        assert len(pandas.read_parquet(directory)) == n
        assert len(polars.read_parquet(directory)) == n
        assert len(duckdb.execute(f"from '{directory}/*.parquet'").fetchall()) == n


def test_trials_that_leave_a_typed_leaf_none_open_as_one_dataset(tmp_path):
    write(tmp_path, T1, leaves={"optimizer.beta": None}, types={"optimizer.beta": float})
    write(tmp_path, T2, leaves={"optimizer.beta": 1}, types={"optimizer.beta": float})
    directory = tmp_path / "trials"
    assert pandas.read_parquet(directory)["optimizer.beta"].dtype == float
    assert polars.read_parquet(directory)["optimizer.beta"].to_list() == [None, 1.0]
    assert duckdb.execute(f"select \"optimizer.beta\" from '{directory}/*.parquet'").fetchall() == [
        (None,),
        (1.0,),
    ]


def test_a_trial_without_steps_keeps_the_schema(tmp_path):
    write(tmp_path, steps=0)
    for table in ("steps", "ledger"):
        found = pandas.read_parquet(tmp_path / table)
        assert list(found.columns) == RECORDS[table].names
        assert len(found) == 0
        assert polars.read_parquet(tmp_path / table).height == 0


def test_a_trial_written_twice_shows_once(tmp_path):
    write(tmp_path, outcome=Outcome(Status.FAILED, error="boom", attempts=1))
    write(tmp_path, outcome=Outcome(Status.FINISHED, {"avg_accuracy": 0.5}, attempts=2))
    assert read.statuses(tmp_path) == {T1: "finished"}
    assert list(pandas.read_parquet(tmp_path / "trials")["attempts"]) == [2]
    assert len(pandas.read_parquet(tmp_path / "evals")) == 2


def test_a_failed_trial_keeps_what_it_has_told(tmp_path):
    write(tmp_path, outcome=Outcome(Status.FAILED, error="boom"))
    assert read.statuses(tmp_path) == {T1: "failed"}
    assert [len(pandas.read_parquet(tmp_path / table)) for table in RECORDS] == [2, 3, 3]


def test_a_failed_trial_that_told_nothing_leaves_its_trials_row_only(tmp_path):
    ParquetSink(About(tmp_path, T1, "{}", {})).close(Outcome(Status.FAILED, error="boom"))
    assert read.statuses(tmp_path) == {T1: "failed"}
    assert not any((tmp_path / table).exists() for table in RECORDS)


def test_aside_files_of_a_killed_attempt_are_removed(tmp_path):
    (tmp_path / ".tmp").mkdir()
    for name in (f".0a~evals.{T1}.parquet", ".0b~evals.t2.parquet"):
        (tmp_path / ".tmp" / name).touch()
    write(tmp_path)
    assert [p.name for p in (tmp_path / ".tmp").iterdir()] == [".0b~evals.t2.parquet"]


def test_nothing_is_written_before_close(tmp_path):
    ParquetSink(About(tmp_path / "r", T1, "{}", {})).step(Step(1, 0, 0.5, 0.1, 2, 0.1))
    assert not (tmp_path / "r").exists()


def test_unsigned_seeds_keep_their_bits(tmp_path):
    sink = ParquetSink(About(tmp_path, T1, "{}", {}))
    for seed in (0, 2**63 - 1, 2**63, 2**64 - 1):
        sink.query(Query(1, 0, 0, seed, 1.0, 1))
    sink.close(FINISHED)
    seeds = pq.read_table(tmp_path / "ledger")["seed"].to_pylist()
    assert [seed % 2**64 for seed in seeds] == [0, 2**63 - 1, 2**63, 2**64 - 1]


@pytest.mark.parametrize("queries", [125, 1000])
def test_a_ledger_takes_few_bytes_a_query(queries, tmp_path):
    """Seeds are 63 random bits; coefficients, differences of float32 losses, hold some 3 bytes."""
    chance = random.Random(0)
    sink = ParquetSink(About(tmp_path, T1, "{}", {}))
    for i in range(queries):
        plus, minus = (struct.unpack("f", struct.pack("f", chance.gauss(2.3, 0.1)))[0] for _ in "ab")
        sink.query(Query(1 + i // 200, i % 200, 0, chance.getrandbits(63), (plus - minus) / 2e-3, 1))
    sink.close(FINISHED)
    assert (tmp_path / "ledger" / f"{T1}.parquet").stat().st_size <= 32 * queries


@pytest.mark.parametrize(
    ("leaves", "message"),
    [({"seconds": 1}, "name of a column"), ({"a": [1]}, "must be bool, int, float, str or None")],
)
def test_leaves_that_make_no_column_are_refused(tmp_path, leaves, message):
    with pytest.raises(ValueError, match=message):
        ParquetSink(About(tmp_path, T1, "{}", leaves))


def test_reading_an_absent_directory_finds_nothing(tmp_path):
    assert read.statuses(tmp_path / "none") == {}


def test_reading_passes_over_foreign_files(tmp_path):
    write(tmp_path)
    trials = tmp_path / "trials"
    (trials / "notes.txt").write_text("hello")
    (trials / "broken.parquet").write_bytes(b"PAR1")
    (trials / ".hidden.parquet").write_bytes(b"")
    pq.write_table(pa.table({"other": [1]}), trials / "other.parquet")
    assert read.statuses(tmp_path) == {T1: "finished"}


LOOP = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_parquet import id_of, write
print("go", flush=True)
for i in range(10**6):
    write(Path(sys.argv[1]), id_of(f"t{i % 50}"), steps=200)
"""


def test_a_kill_at_any_moment_leaves_only_whole_files(tmp_path):
    chance = random.Random(0)
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", LOOP, str(tmp_path), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"go\n"
        time.sleep(chance.uniform(0.02, 0.3))
        child.send_signal(signal.SIGKILL)
        child.wait()
        for table in TABLES:
            for path in (tmp_path / table).glob("*"):
                assert pq.read_table(path).num_rows == {"trials": 1, "evals": 2}.get(table, 200)
        committed = {path.name for path in (tmp_path / "trials").glob("*")}
        assert committed
        for table in RECORDS:
            assert committed <= {path.name for path in (tmp_path / table).glob("*")}
