"""The contract every sink keeps, and the fan-out over them."""

from typing import Any

import pytest

from tests.conftest import id_of
from zfscale.records import Eval, Outcome, Query, Step
from zfscale.results.tables import statuses
from zfscale.sinks import SINKS, Fanout, make_sinks
from zfscale.sinks.parquet import ParquetSink
from zfscale.sinks.wandb import WandbSink


class Recorder:
    def __init__(self, log, name, broken=False):
        self.log, self.name, self.broken = log, name, broken

    def step(self, record):
        self.log.append((self.name, record))

    query = eval = step

    def close(self, outcome):
        self.step(outcome)
        if self.broken:
            raise OSError("disk full")


RECORDS = [Step(1, 0, 0.5, 0.1, 2, 0.1), Query(1, 0, 0, 7, 0.5, 1), Eval(1, 1, "accuracy", 0.5)]


def send(sink):
    sink.step(RECORDS[0])
    sink.query(RECORDS[1])
    sink.eval(RECORDS[2])


def test_fanout_forwards_in_order():
    log: list[Any] = []
    sink = Fanout([Recorder(log, "a"), Recorder(log, "b")])
    send(sink)
    sink.close(Outcome("finished"))
    assert log == [(name, record) for record in [*RECORDS, Outcome("finished")] for name in "ab"]


def test_fanout_closes_all_and_then_raises():
    log: list[Any] = []
    with pytest.raises(OSError, match="disk full"):
        Fanout([Recorder(log, "a", broken=True), Recorder(log, "b")]).close(Outcome("finished"))
    assert [name for name, _ in log] == ["a", "b"]


def test_make_sinks_closes_parquet_last(tmp_path):
    given = (tmp_path, "demo", id_of("t1"), '{"seed": 0}', {"seed": 0})
    disabled = make_sinks(*given, wandb_mode="disabled")
    assert [type(sink) for sink in disabled.sinks] == [ParquetSink]
    offline = make_sinks(*given, wandb_mode="offline", project="p")
    assert [type(sink) for sink in offline.sinks] == [WandbSink, ParquetSink]
    send(offline)
    offline.close(Outcome("finished"))
    assert statuses(tmp_path) == {id_of("t1"): "finished"}
    assert len(list((tmp_path / "wandb").glob(f"offline-run-*-{id_of('t1')}"))) == 1


@pytest.mark.parametrize("name", SINKS)
@pytest.mark.parametrize("status", ["finished", "failed"])
def test_every_sink_takes_every_record_and_none(tmp_path, name, status):
    sinks = {
        "parquet": lambda: SINKS["parquet"](tmp_path, "t1", "{}", {}),
        "wandb": lambda: SINKS["wandb"](tmp_path, "demo", id_of("t1"), {}, "offline", "p"),
    }
    for records in (True, False):
        sink = sinks[name]()
        if records:
            send(sink)
        assert sink.close(Outcome(status, error="boom" if status == "failed" else None)) is None
