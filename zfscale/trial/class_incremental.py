"""A class-incremental trial: learn the tasks in order, after each classify the test images of all seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from zfscale.methods import catalogue as methods
from zfscale.methods.old_loss import OldLoss
from zfscale.metrics import accuracy_matrix as metrics
from zfscale.records import Eval
from zfscale.streams import catalogue as streams
from zfscale.training.journal import Journal
from zfscale.trial.alone import accuracy_alone
from zfscale.trial.report import Report, learned

if TYPE_CHECKING:
    from zfscale.methods.base import FeatureCache
    from zfscale.methods.classes import ClassLearner
    from zfscale.spec import TrialSpec
    from zfscale.streams.class_incremental import Task


def stages(spec: TrialSpec, base: Any, data: Any, journal: Journal, cache: FeatureCache) -> Iterator[Report]:
    """Learn the tasks in order; after each, what the trial has measured so far.

    If the stream asks for the forward transfer, each task but the first is then learned alone, and a last report, of
    the same stage, has `fwt` too.
    """
    stream = streams.stream(spec.stream.kind).load().of(spec.stream, data)
    method: ClassLearner = methods.method(spec.method.name).load()(spec, base, cache)
    accuracy: list[list[float]] = []
    seen: list[Task] = []
    for task in method.stages(stream):
        if spec.stream.old_loss_every and seen:
            method.old = OldLoss.of(list(stream)[: len(seen)], spec.stream.old_loss_every, spec.seed)
        yield from learned(method.learning(task, journal), journal, len(seen))
        seen.append(task)
        accuracy.append([task_accuracy(method, earlier) for earlier in seen])
        for j, value in enumerate(accuracy[-1], start=1):
            journal.sink.eval(Eval(task.index, j, "accuracy", value))
        sizes = [len(earlier.test_y) for earlier in seen]
        journal.sink.eval(Eval(task.index, 0, "stage_accuracy", metrics.last(accuracy, sizes)))
        found = summary(accuracy, sizes)
        yield Report(task.index, found, last=len(seen) == method.stage_count(stream))
    if spec.stream.forward_transfer:
        del method  # its memory is free for others
        with journal.paused():
            alone = [accuracy_alone(spec, base, task, stream) for task in list(stream)[1:]]
        for j, value in enumerate(alone, start=2):
            journal.sink.eval(Eval(seen[-1].index, j, "accuracy_alone", value))
        yield Report(seen[-1].index, found | {"fwt": metrics.fwt(accuracy, [math.nan, *alone])}, last=True)


def summary(accuracy: list[list[float]], sizes: list[int]) -> dict[str, Any]:
    """The measures of a trial from its accuracies up to a stage, by their names in `Outcome`."""
    return {
        "avg_accuracy": metrics.average(accuracy, sizes),
        "last_accuracy": metrics.last(accuracy, sizes),
        "forgetting": metrics.forgetting(accuracy),
        "bwt": metrics.bwt(accuracy),
        "plasticity": metrics.plasticity(accuracy),
        "evaluated_images": sum(sizes),
    }


def task_accuracy(method: ClassLearner, task: Task) -> float:
    """Share of the task's test images that are given their label, among all classes seen so far."""
    return float((method.predict(task) == task.test_y).mean())
