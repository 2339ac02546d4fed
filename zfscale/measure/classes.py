"""Accuracy and loss of a class-incremental trial on the test images of the tasks seen, were its training to end now."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from zfscale.measure.catalogue import Row
from zfscale.measure.point import Point


def accuracy(point: Point) -> Iterator[Row]:
    """Share of a task's test images that are given their label, among all classes seen; over all tasks as task 0."""
    right = 0
    for task, logits in zip(point.tested, point.logits, strict=True):
        hits = int((logits.argmax(1).numpy() == task.test_y).sum())
        yield task.index, "accuracy", hits / len(task.test_y)
        right += hits
    yield 0, "stage_accuracy", right / sum(len(task.test_y) for task in point.tested)


def loss(point: Point) -> Iterator[Row]:
    """Mean cross-entropy of a task's test images, in nats, among all classes seen; over all images as task 0.

    NOTE: of a classifier by cosine, such as EASE's, it moves in a narrow band.
    """
    total, count = 0.0, 0
    for task, logits in zip(point.tested, point.logits, strict=True):
        losses = F.cross_entropy(logits, torch.from_numpy(task.test_y), reduction="none").double()
        yield task.index, "loss", float(losses.mean())
        total, count = total + float(losses.sum()), count + len(losses)
    yield 0, "stage_loss", total / count
