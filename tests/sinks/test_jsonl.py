"""JSON lines are whole, and plain enough for every reader."""

from __future__ import annotations

import json

import duckdb
import pandas
import pytest

from tests.conftest import id_of
from zfscale.errors import StorageError
from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.results import patience
from zfscale.sinks import jsonl
from zfscale.sinks.jsonl import JsonlSink
from zfscale.testing.sinks import example, outcome, send

T1, T2 = id_of("t1"), id_of("t2")


def test_a_line_a_record_in_the_order_they_came(tmp_path):
    sink = JsonlSink(example(tmp_path, T1))
    sink.step(Step(1, 0, float("inf"), 0.1, 2, 0.5))
    sink.query(Query(1, 0, 0, 2**64 - 1, 0.25, -1))
    sink.eval(Eval(1, 0, "stage_accuracy", 0.5))
    sink.close(Outcome(Status.STOPPED, {"avg_accuracy": 0.5}, attempts=2))
    lines = [json.loads(line) for line in (tmp_path / "jsonl" / f"{T1}.jsonl").read_text().splitlines()]
    assert {line.pop("trial_id") for line in lines} == {T1}
    *records, end = lines
    assert records == [
        {"record": "step", "task": 1, "step": 0, "loss": None, "lr": 0.1, "forwards": 2, "seconds": 0.5},
        {"record": "query", "task": 1, "step": 0, "query": 0, "seed": -1, "coefficient": 0.25, "accepted": -1},
        {"record": "eval", "stage": 1, "task": 0, "metric": "stage_accuracy", "value": 0.5},
    ]
    told = {"record": "outcome", "status": "stopped", "avg_accuracy": 0.5, "fwt": None, "attempts": 2}
    assert told.items() <= end.items()


def test_many_lines_wait_outside_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "IN_MEMORY", 1000)
    sink = JsonlSink(example(tmp_path, T1))
    for i in range(100):
        sink.step(Step(1, i, 0.5, 0.1, 2 * i, 0.5))
    assert sink._lines._rolled  # type: ignore[attr-defined]
    sink.close(outcome(Status.FINISHED))
    lines = [json.loads(line) for line in (tmp_path / "jsonl" / f"{T1}.jsonl").read_text().splitlines()]
    assert [line.get("step") for line in lines] == [*range(100), None]


def test_one_line_opens_them_in_every_reader(tmp_path):
    for trial in (T1, T2):
        sink = JsonlSink(example(tmp_path, trial))
        send(sink)
        sink.close(outcome(Status.FINISHED))
    found = pandas.read_json(tmp_path / "jsonl" / f"{T1}.jsonl", lines=True)
    assert found["record"].value_counts().to_dict() == {"step": 6, "query": 6, "eval": 5, "outcome": 1}
    counted = duckdb.execute(f"select trial_id, count(*) from '{tmp_path}/jsonl/*.jsonl' group by all order by all")
    assert counted.fetchall() == [(trial, 18) for trial in sorted((T1, T2))]


def test_nothing_is_written_before_the_end_and_no_half_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "WAITS", ())
    sink = JsonlSink(example(tmp_path / "r", T1))
    send(sink)
    assert not (tmp_path / "r").exists()
    sink.close(outcome(Status.FAILED))
    before = (tmp_path / "r" / "jsonl" / f"{T1}.jsonl").read_bytes()
    again = JsonlSink(example(tmp_path / "r", T1))
    send(again)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match="the disk is full"):
        again.close(outcome(Status.FINISHED))
    assert (tmp_path / "r" / "jsonl" / f"{T1}.jsonl").read_bytes() == before
