"""Class-incremental stream: the classes, shuffled by seed, arrive in equal groups; no task identity at test time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zfscale.data.images import ImageData
from zfscale.errors import SpecError


@dataclass(frozen=True)
class Task:
    """Task `index` of 1..K: images uint8 [N, C, H, W] and labels int64 [N].

    Labels count classes in order of arrival: task k of m classes each has labels (k - 1) m .. k m - 1.
    """

    index: int
    labels: range
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


class ClassIncremental:
    """The tasks of `data` in the order that `class_order_seed` gives; iterate, or index by task number - 1.

    Errors: SpecError if `tasks` does not divide the number of classes.
    """

    def __init__(self, data: ImageData, tasks: int, class_order_seed: int) -> None:
        classes = len(data.classes)
        if classes % tasks:
            allowed = ", ".join(str(k) for k in range(1, classes + 1) if classes % k == 0)
            raise SpecError(f"stream.tasks: {tasks} does not divide the {classes} classes; allowed: {allowed}")
        self.order = class_order(classes, class_order_seed)
        self.per_task = classes // tasks
        self._tasks = [self._cut(data, k) for k in range(tasks)]

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks)

    def __getitem__(self, i: int) -> Task:
        return self._tasks[i]

    def _cut(self, data: ImageData, k: int) -> Task:
        labels = range(k * self.per_task, (k + 1) * self.per_task)
        train_x, train_y = self._select(data.train_x, data.train_y, labels)
        test_x, test_y = self._select(data.test_x, data.test_y, labels)
        return Task(k + 1, labels, train_x, train_y, test_x, test_y)

    def _select(self, x: np.ndarray, y: np.ndarray, labels: range) -> tuple[np.ndarray, np.ndarray]:
        arrival = np.argsort(self.order)[y]  # class number -> order of arrival
        rows = np.isin(arrival, labels)
        return x[rows], arrival[rows]


def class_order(classes: int, seed: int) -> np.ndarray:
    """int64 [classes]: the class that arrives i-th.

    NOTE: the legacy generator, so that seed 1993 gives the class order of the literature (np.random.seed(1993)).
    """
    return np.random.RandomState(seed).permutation(classes)
