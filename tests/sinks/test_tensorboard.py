"""TensorBoard's files, read back event by event."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from tests.buckets import bucket
from tests.conftest import id_of
from zfscale.records import Outcome, Status
from zfscale.sinks.about import About
from zfscale.sinks.tensorboard import TensorboardSink
from zfscale.spec.sinks import SinkSpec, sink_problems
from zfscale.testing.sinks import example, outcome, send

T1 = id_of("t1")


def events(content: bytes) -> list[Event]:
    """Of records: length, its checksum, content, its checksum."""
    found, at = [], 0
    while at < len(content):
        (size,) = struct.unpack_from("Q", content, at)
        found.append(Event.FromString(content[at + 12 : at + 12 + size]))
        at += 12 + size + 4
    return found


def read(root: Path) -> list[Event]:
    (file,) = (root / "tensorboard" / T1).iterdir()
    assert file.name.startswith("events.out.tfevents.")
    return events(file.read_bytes())


def curve(found: list[Event], tag: str) -> list[tuple[int, float]]:
    return [(event.step, value.simple_value) for event in found for value in event.summary.value if value.tag == tag]


def test_curves_count_steps_over_all_tasks(tmp_path):
    sink = TensorboardSink(example(tmp_path, T1))
    send(sink)
    sink.close(outcome(Status.FINISHED))
    found = read(tmp_path)
    steps, losses = zip(*curve(found, "loss"), strict=True)
    assert steps == (0, 1, 2, 3, 4, 5)
    assert losses[0] == losses[3] == 0.5
    assert math.isnan(losses[1])
    assert math.isinf(losses[5])
    assert curve(found, "forwards") == [(i, 2.0 * (i % 3) + 2) for i in range(6)]
    assert curve(found, "stage_accuracy") == [(1, 0.5), (2, 0.5)]
    assert curve(found, "accuracy/1") == [(1, 0.5), (2, 0.5)]
    assert curve(found, "accuracy/2") == [(2, 0.5)]


@pytest.mark.parametrize("status", Status)
def test_settings_stand_beside_measures(tmp_path, status):
    sink = TensorboardSink(About(tmp_path, T1, leaves={"method.name": "ease", "seed": 3, "lr": 0.5, "none": None}))
    sink.close(Outcome(status, {"avg_accuracy": 0.75, "forwards": 6, "fwt": None}))
    found = read(tmp_path)
    kept = {v.tag: v.metadata.plugin_data.content for e in found for v in e.summary.value if "_hparams_" in v.tag}
    given = HParamsPluginData.FromString(kept["_hparams_/session_start_info"]).session_start_info.hparams
    assert (given["method.name"].string_value, given["seed"].number_value, given["lr"].number_value) == ("ease", 3, 0.5)
    assert "none" not in given
    shown = HParamsPluginData.FromString(kept["_hparams_/experiment"]).experiment.metric_infos
    assert [metric.name.tag for metric in shown] == ["trial/avg_accuracy", "trial/forwards"]
    assert ("_hparams_/session_end_info" in kept) == (status is not Status.FAILED)
    assert (curve(found, "trial/avg_accuracy"), curve(found, "trial/forwards")) == ([(0, 0.75)], [(0, 6.0)])


def test_a_stage_is_there_to_be_read_before_the_end(tmp_path):
    sink = TensorboardSink(example(tmp_path, T1))
    send(sink)
    assert curve(read(tmp_path), "stage_accuracy") == [(1, 0.5), (2, 0.5)]
    sink.close(outcome(Status.FINISHED))


def test_another_attempt_replaces_what_was_there(tmp_path):
    for _ in range(2):
        sink = TensorboardSink(example(tmp_path, T1))
        send(sink)
    sink.close(outcome(Status.FINISHED))
    assert len(curve(read(tmp_path), "loss")) == 6


def test_a_bucket_has_it_at_the_end():
    there: Any = bucket()
    for _ in range(2):
        sink = TensorboardSink(example(there, T1))
        send(sink)
        sink.close(outcome(Status.FINISHED))
    (name,) = there.names(f"tensorboard/{T1}")
    assert len(curve(events(there.read(name)), "loss")) == 6


def test_what_is_missing_is_said_before_anything_runs(monkeypatch):
    asked = (SinkSpec(name="jsonl"), SinkSpec(name="tensorboard"))
    assert sink_problems(asked) == {}
    monkeypatch.setattr("zfscale.spec.sinks.find_spec", lambda name: None)
    told = "'tensorboard' needs the package tensorboardX; pip install 'zfscale[tensorboard]'"
    assert sink_problems(asked) == {("output", "sinks", 1, "name"): told}
