"""Held-out loss and accuracy of a domain-incremental trial on its domains, as after a stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from zfscale.measure.catalogue import Row
from zfscale.measure.point import Point


def accuracy(point: Point) -> Iterator[Row]:
    """Of each domain whose examples have classes, that of the nearest class mean; their mean as task 0."""
    learner: Any = point.learner
    found = [(task.index, learner.accuracy(task)) for task in point.tested]
    known = [(index, value) for index, value in found if value is not None]
    for index, value in known:
        yield index, "accuracy", value
    if known:
        yield 0, "mean_accuracy", float(np.mean([value for _, value in known]))


def loss(point: Point) -> Iterator[Row]:
    """Of each domain, the mean loss of its held-out examples; their mean as task 0."""
    learner: Any = point.learner
    means = [float(learner.losses(task).mean()) for task in point.tested]
    for task, mean in zip(point.tested, means, strict=True):
        yield task.index, "loss", mean
    yield 0, "stage_loss", float(np.mean(means))
