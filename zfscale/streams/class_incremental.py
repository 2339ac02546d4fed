"""Class-incremental stream: the classes, shuffled by seed, arrive in groups; no task identity at test time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zfscale.data.holdout import held_out
from zfscale.data.image_data import ImageData
from zfscale.errors import DataError
from zfscale.spec import class_order as listed
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
    Where training images are held out for validation, they stand in place of the test images.
    """

    index: int
    labels: range
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


class ClassIncremental(Stream[Task]):
    """The tasks of `data`.

    Args:
        data: The labelled images.
        sizes: The classes of each task; they add up to those of the data.
        order: The number of the class that arrives i-th, a permutation of the classes; or the seed to draw it from.
        validation: What is held out of the training images (a share, or their number) to be tested on, if anything.
    """

    @staticmethod
    def read(spec: StreamSpec, family: Family, base: Any) -> ImageData:
        """The labelled images at the size of the model, or with the margin that its transform cuts off."""
        return family.images(spec.dataset, base, **({} if spec.zoom == 1 else {"zoom": spec.zoom}))

    @classmethod
    def of(cls, spec: StreamSpec, data: ImageData) -> Self:
        """The stream of images whose classes can be cut into the tasks of the spec."""
        seed = spec.class_order_seed
        assert seed is not None, "a trial's spec has it filled in"
        order = seed if spec.class_order is None else listed.listed_order(spec.class_order, data.classes)
        return cls(data, task_sizes(spec, len(data.classes)), order, spec.validation)

    @staticmethod
    def misfit(spec: StreamSpec, data: ImageData) -> Finding | None:
        """Why the classes cannot be cut into the tasks, ordered as listed, or give images for validation."""
        count, what = len(data.classes), "the dataset"
        return misfit(spec, count, what) or listed.misfit(spec, count, what, data.classes) or _too_few(spec, data)

    def __init__(
        self, data: ImageData, sizes: Sequence[int], order: Sequence[int] | int, validation: float | None = None
    ) -> None:
        assert sum(sizes) == len(data.classes), "every class arrives once"
        self.order = class_order(len(data.classes), order) if isinstance(order, int) else np.array(order)
        held = None if validation is None else held_out(data.train_y, validation)
        ends = itertools.accumulate(sizes)
        groups = [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        super().__init__([self._cut(data, held, k, labels) for k, labels in enumerate(groups, start=1)])

    def _cut(self, data: ImageData, held: np.ndarray | None, k: int, labels: range) -> Task:
        """Task k; of training images that are `held` out, bool [N], are its test images."""
        if held is None:
            tested = self._select(data.test_x, data.test_y, labels)
            return Task(k, labels, *self._select(data.train_x, data.train_y, labels), *tested)
        split = [self._select(data.train_x, data.train_y, labels, rows) for rows in (~held, held)]
        return Task(k, labels, *split[0], *split[1])

    def _select(
        self, x: np.ndarray, y: np.ndarray, labels: range, among: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        arrival = np.argsort(self.order)[y]  # class number -> order of arrival
        rows = np.isin(arrival, labels) if among is None else np.isin(arrival, labels) & among
        return x[rows], arrival[rows]


def _too_few(spec: StreamSpec, data: ImageData) -> Finding | None:
    """Why the training images cannot be shared with validation."""
    try:
        if spec.validation is not None:
            held_out(data.train_y, spec.validation)
    except DataError as error:
        return ("stream", "validation"), str(error)
    return None


def class_order(classes: int, seed: int) -> np.ndarray:
    """int64 [classes]: the class that arrives i-th.

    NOTE: the legacy generator, so that seed 1993 gives the class order of the literature (np.random.seed(1993)).
    """
    return np.random.RandomState(seed).permutation(classes)
