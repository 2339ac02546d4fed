"""One trial, one screen: a stream x a method x an optimizer -> records."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import TYPE_CHECKING

import torch

from zfscale import memory, metrics
from zfscale.methods import METHODS
from zfscale.methods.journal import Journal, Snapshots
from zfscale.models.vit import BaseModel
from zfscale.records import Eval, Outcome, Sink
from zfscale.streams import STREAMS
from zfscale.streams.class_incremental import Task
from zfscale.streams.datasets import ImageData
from zfscale.zo.ledger import Ledger
from zfscale.zo.noise import ARITHMETIC

if TYPE_CHECKING:
    from zfscale.methods.base import FeatureCache, Method
    from zfscale.spec import TrialSpec

RECORDED = ("zfscale", "torch", "deepspeed", "transformers", "ray", "pyarrow")


def run(
    spec: TrialSpec,
    base: BaseModel,
    data: ImageData,
    sink: Sink,
    attempt: int = 1,
    ledger: Ledger | None = None,
    snapshots: Snapshots | None = None,
    cache: FeatureCache | None = None,
) -> Outcome:
    """Learn the stream task by task, evaluate after each on all tasks seen; the caller closes the sink.

    A trial that was killed goes on where its `ledger` ends: a forward-only phase at its last step, a first-order one at
    the last of its `snapshots`. `cache` keeps the pretrained model's features from trial to trial.
    """
    memory.reset_peak()
    stream = STREAMS[spec.stream.kind](data, spec.stream.tasks, spec.stream.class_order_seed)
    method = METHODS[spec.method.name](spec, base, cache)
    journal = Journal(sink, ledger, snapshots)
    accuracy: list[list[float]] = []
    sizes = [len(task.test_y) for task in stream]
    for task in stream:
        method.learn(task, journal)
        accuracy.append([task_accuracy(method, seen) for seen in list(stream)[: task.index]])
        for j, value in enumerate(accuracy[-1], start=1):
            sink.eval(Eval(task.index, j, "accuracy", value))
        sink.eval(Eval(task.index, 0, "stage_accuracy", metrics.stage_accuracy(accuracy, sizes, task.index - 1)))
    return summary(accuracy, sizes, journal, attempt)


def task_accuracy(method: Method, task: Task) -> float:
    """Share of the task's test images that are given their label, among all classes seen so far."""
    return float((method.predict(task) == task.test_y).mean())


def summary(accuracy: list[list[float]], sizes: list[int], journal: Journal, attempt: int) -> Outcome:
    """The finished trial's row. fwt stays empty: it needs each task learned alone by a randomly initialised model."""
    return Outcome(
        status="finished",
        avg_accuracy=metrics.average(accuracy, sizes),
        last_accuracy=metrics.last(accuracy, sizes),
        forgetting=metrics.forgetting(accuracy),
        bwt=metrics.bwt(accuracy),
        seconds=journal.seconds,
        forwards=journal.forwards,
        peak_memory_bytes=memory.peak(),
        attempts=attempt,
        versions=versions(),
    )


def device() -> str:
    """What the trial runs on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()


def versions() -> str:
    """JSON object of what decides the last bits of the numbers: packages, device, threads."""
    found = {"python": platform.python_version(), "threads": str(torch.get_num_threads()), "device": device()}
    found["arithmetic"] = str(ARITHMETIC)
    for name in RECORDED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return json.dumps(found)
