"""TensorBoard: curves of a trial, and its settings beside its measures in the tab of hyperparameters.

    <root>/tensorboard/<trial_id>/events.out.tfevents...    for `tensorboard --logdir <root>/tensorboard`

Events are written by tensorboardX, which Ray Tune writes them with as well.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from typing import Any

from zfscale.metrics.catalogue import CURVES, MATRICES
from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.results.storage import storage
from zfscale.sinks.about import About
from zfscale.sinks.global_step import GlobalStep


class TensorboardSink:
    """Streams a trial to an event file, in batches: as the file's buffer fills, and after every stage.

    Scalars: `loss`, `lr`, `forwards` against the step (over all tasks); `stage_accuracy` or `stage_loss`, and the
    metric of each task, such as `accuracy/1`, against the stage; the measures of the outcome, such as
    `trial/avg_accuracy`.

    Args:
        about: The trial; what an attempt before this one wrote is removed.
        options: There are none.
    """

    def __init__(self, about: About, options: None = None) -> None:
        from tensorboardX.event_file_writer import EventsWriter

        self._storage, self._folder = storage(about.root), f"tensorboard/{about.trial_id}"
        self._leaves, self._number = dict(about.leaves), GlobalStep()
        self._storage.remove(self._folder)
        local = self._storage.local(self._folder)
        shutil.rmtree(local, ignore_errors=True)  # of a bucket, what a killed attempt has left on this machine
        local.mkdir(parents=True)
        self._file = EventsWriter(str(local / "events"))

    def step(self, record: Step) -> None:
        """Writes one training step."""
        self._scalars(self._number(record), {"loss": record.loss, "lr": record.lr, "forwards": record.forwards})

    def query(self, record: Query) -> None:
        """Queries stay in Parquet: they are for replay, not for looking at."""

    def eval(self, record: Eval) -> None:
        """Writes one metric, and makes sure that a reader sees the stage."""
        if record.metric in CURVES:
            self._scalars(record.stage, {record.metric: record.value})
            self._file.flush()
        elif record.metric in MATRICES:
            self._scalars(record.stage, {f"{record.metric}/{record.task}": record.value})

    def close(self, outcome: Outcome) -> None:
        """Writes settings and measures; the session of a failed trial has no end."""
        from tensorboardX.summary import hparams

        measures = {f"trial/{name}": float(value) for name, value in outcome.measures.items() if value is not None}
        experiment, start, end = hparams(self._leaves, measures)
        for summary in (experiment, start, *([] if outcome.status is Status.FAILED else [end])):
            self._write(0, summary)
        self._scalars(0, measures)
        self._file.close()
        self._storage.send(self._folder)

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        kept = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step, Summary(value=kept))

    def _write(self, step: int, summary: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._file.write_event(Event(step=step, wall_time=time.time(), summary=summary))
