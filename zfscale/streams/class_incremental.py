"""Class-incremental stream: the classes, shuffled by seed, arrive in groups; no task identity at test time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zfscale.data.image_data import ImageData
from zfscale.spec.tasks import misfit, task_sizes
from zfscale.streams.base import Stream

if TYPE_CHECKING:
    from typing_extensions import Self

    from zfscale.models.families.base import Family
    from zfscale.spec import StreamSpec
    from zfscale.spec.names import Finding


@dataclass(frozen=True)
class Task:
    """Task `index` of 1..K: images uint8 [N, C, H, W] and labels int64 [N].

    Labels count classes in order of arrival: the first task of m classes has labels 0 .. m - 1, the next go on from m.
    """

    index: int
    labels: range
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


class ClassIncremental(Stream[Task]):
    """The tasks of `data` in the order that `class_order_seed` gives.

    `sizes` are the classes of each task; they add up to those of the data.
    """

    @staticmethod
    def read(spec: StreamSpec, family: Family, base: Any) -> ImageData:
        """The labelled images at the size of the model."""
        return family.images(spec.dataset, base)

    @classmethod
    def of(cls, spec: StreamSpec, data: ImageData) -> Self:
        """The stream of images whose classes can be cut into the tasks of the spec."""
        return cls(data, task_sizes(spec, len(data.classes)), spec.class_order_seed)

    @staticmethod
    def misfit(spec: StreamSpec, data: ImageData) -> Finding | None:
        """Why the classes cannot be cut into the tasks."""
        return misfit(spec, len(data.classes), "the dataset")

    def __init__(self, data: ImageData, sizes: Sequence[int], class_order_seed: int) -> None:
        assert sum(sizes) == len(data.classes), "every class arrives once"
        self.order = class_order(len(data.classes), class_order_seed)
        ends = itertools.accumulate(sizes)
        groups = [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        super().__init__([self._cut(data, k, labels) for k, labels in enumerate(groups, start=1)])

    def _cut(self, data: ImageData, k: int, labels: range) -> Task:
        train_x, train_y = self._select(data.train_x, data.train_y, labels)
        test_x, test_y = self._select(data.test_x, data.test_y, labels)
        return Task(k, labels, train_x, train_y, test_x, test_y)

    def _select(self, x: np.ndarray, y: np.ndarray, labels: range) -> tuple[np.ndarray, np.ndarray]:
        arrival = np.argsort(self.order)[y]  # class number -> order of arrival
        rows = np.isin(arrival, labels)
        return x[rows], arrival[rows]


def class_order(classes: int, seed: int) -> np.ndarray:
    """int64 [classes]: the class that arrives i-th.

    NOTE: the legacy generator, so that seed 1993 gives the class order of the literature (np.random.seed(1993)).
    """
    return np.random.RandomState(seed).permutation(classes)
