"""A class-incremental trial: learn the tasks in order, after each classify the test images of all seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zfscale.data.images import ImageData
from zfscale.methods import catalogue as methods
from zfscale.metrics import accuracy_matrix as metrics
from zfscale.records import Eval
from zfscale.streams import class_incremental
from zfscale.training.journal import Journal

if TYPE_CHECKING:
    from zfscale.methods.base import FeatureCache, Method
    from zfscale.models.vit import BaseModel
    from zfscale.spec import TrialSpec
    from zfscale.streams.class_incremental import Task


def learn(spec: TrialSpec, base: BaseModel, data: ImageData, journal: Journal, cache: FeatureCache) -> dict[str, Any]:
    """Run the trial; its accuracies by their names in the catalogue of measures.

    fwt stays empty: it needs each task learned alone by a randomly initialised model.
    """
    stream = class_incremental(spec.stream, data)
    method: Method = methods.method(spec.method.name).load()(spec, base, cache)
    accuracy: list[list[float]] = []
    sizes = [len(task.test_y) for task in stream]
    for task in stream:
        method.learn(task, journal)
        accuracy.append([task_accuracy(method, seen) for seen in list(stream)[: task.index]])
        for j, value in enumerate(accuracy[-1], start=1):
            journal.sink.eval(Eval(task.index, j, "accuracy", value))
        stage = metrics.stage_accuracy(accuracy, sizes, task.index - 1)
        journal.sink.eval(Eval(task.index, 0, "stage_accuracy", stage))
    return {
        "avg_accuracy": metrics.average(accuracy, sizes),
        "last_accuracy": metrics.last(accuracy, sizes),
        "forgetting": metrics.forgetting(accuracy),
        "bwt": metrics.bwt(accuracy),
    }


def task_accuracy(method: Method, task: Task) -> float:
    """Share of the task's test images that are given their label, among all classes seen so far."""
    return float((method.predict(task) == task.test_y).mean())
