"""A method that rehearses from a buffer: a uniform sample of all images seen (reservoir sampling, Vitter 1985)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pydantic import Field

from zfscale.methods.catalogue import Method
from zfscale.methods.classes import ClassLearner
from zfscale.models.heads import LinearHead
from zfscale.spec import Block, TrialSpec
from zfscale.streams.base import Stream
from zfscale.streams.class_incremental import Task

HEAD, CHOICE = 100, 101  # what derived seeds are for


class Options(Block):
    """Options that this method alone has."""

    buffer: int = Field(default=12, ge=1, description="images that are kept")


class Reservoir(ClassLearner):
    """Finetuning on each task's images and those of the buffer."""

    facts = Method("extras.reservoir:Reservoir", stream="class_incremental", trained="all", own=Options)

    def __init__(self, spec: TrialSpec, base: Any, cache: dict[Any, Any] | None = None) -> None:
        super().__init__(spec, base, cache)
        self.network.head = self.head = LinearHead(self.width)
        self.size = spec.method.filled().buffer  # type: ignore[attr-defined]
        self.images: list[np.ndarray] = []
        self.labels: list[int] = []
        self.seen = 0

    def stages(self, stream: Stream[Task]) -> Iterator[Task]:
        for task in stream:
            kept = np.stack(self.images) if self.images else task.train_x[:0]
            labels = np.array(self.labels, dtype=np.int64)
            yield replace(
                task,
                train_x=np.concatenate([task.train_x, kept]),
                train_y=np.concatenate([task.train_y, labels]),
            )

    def begin(self, task: Task) -> None:
        self.head.grow(len(task.labels), self.seed(HEAD, task))
        self.head.to(self.engine.device)

    def remember(self, task: Task) -> None:
        """Keep each new image with the probability that all seen so far have alike."""
        draw = np.random.default_rng(self.seed(CHOICE, task))
        for image, label in zip(task.train_x, task.train_y, strict=True):
            if label not in task.labels:
                continue
            place = len(self.images) if len(self.images) < self.size else int(draw.integers(self.seen + 1))
            if place < self.size:
                self.images[place : place + 1] = [image]
                self.labels[place : place + 1] = [int(label)]
            self.seen += 1

    def predict(self, task: Task) -> np.ndarray:
        with torch.no_grad():
            return self.head(self.features(task.test_x)).argmax(1).cpu().numpy()

    @classmethod
    def examples(cls, spec: TrialSpec, stream: Stream[Task]) -> list[int]:
        size, seen, counts = spec.method.filled().buffer, 0, []  # type: ignore[attr-defined]
        for task in stream:
            counts.append(len(task.train_y) + min(size, seen))
            seen += len(task.train_y)
        return counts
