"""What the methods with a rehearsal buffer share: each task is learned on its images and the buffer's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zfscale.methods.base import FeatureCache
from zfscale.methods.buffer import Buffer, held
from zfscale.methods.classes import ClassLearner
from zfscale.streams.base import Stream
from zfscale.streams.class_incremental import Task

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


class Rehearsing(ClassLearner):
    """Keeps images of every class seen, chosen by herding in the features that the task has left."""

    def __init__(self, spec: TrialSpec, base: Any, cache: FeatureCache | None = None) -> None:
        super().__init__(spec, base, cache)
        options: Any = spec.method.filled()
        self.buffer = Buffer(options.buffer_size)

    def stages(self, stream: Stream[Task]) -> Iterator[Task]:
        """NOTE: a replay takes the steps from a ledger and looks at no image, so it leaves the buffer empty."""
        for task in stream:
            x = np.concatenate([task.train_x, *self.buffer.x])
            y = np.concatenate([task.train_y, *self.buffer.y])
            yield replace(task, train_x=x, train_y=y)

    def remember(self, task: Task) -> None:
        new = np.isin(task.train_y, task.labels)
        features = self.features(task.train_x[new]).cpu().numpy()
        self.buffer.add(task.train_x[new], task.train_y[new], features)

    @classmethod
    def examples(cls, spec: TrialSpec, stream: Stream[Task]) -> list[int]:
        options: Any = spec.method.filled()
        sizes: list[int] = []
        seen: list[int] = []
        for task in stream:
            sizes.append(len(task.train_y) + held(options.buffer_size, seen))
            seen += np.bincount(task.train_y - task.labels.start, minlength=len(task.labels)).tolist()
        return sizes
