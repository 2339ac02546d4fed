"""The class order of the literature; tasks that partition the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zfscale.data.images import ImageData
from zfscale.streams.class_incremental import ClassIncremental, class_order

CLASSES, TRAIN, TEST = 12, 7, 3  # images a class


def data() -> ImageData:
    """Every pixel of an image is its own number, so that it can be traced; rows are shuffled."""
    rng = np.random.default_rng(0)
    parts: list[Any] = []
    for first, each in ((0, TRAIN), (CLASSES * TRAIN, TEST)):
        y = rng.permutation(np.repeat(np.arange(CLASSES), each))
        x = np.arange(first, first + len(y), dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
        parts += [x, y.astype(np.int64)]
    train_x, train_y, test_x, test_y = parts
    return ImageData(train_x, train_y, test_x, test_y, tuple(f"c{i}" for i in range(CLASSES)))


@pytest.mark.parametrize("classes", [10, 100, 200])
def test_seed_1993_is_the_order_of_the_literature(classes):
    before = np.random.get_state()
    try:
        np.random.seed(1993)
        expected = np.random.permutation(classes)
    finally:
        np.random.set_state(before)
    assert class_order(classes, 1993).tolist() == expected.tolist()
    assert class_order(classes, 1994).tolist() != expected.tolist()


def test_the_order_of_cifar100_starts_as_in_the_literature():
    assert class_order(100, 1993)[:10].tolist() == [68, 56, 78, 8, 23, 84, 90, 65, 74, 76]


@pytest.mark.parametrize("sizes", [(12,), (6, 6), (1,) * 12, (6, 2, 2, 2), (1, 7, 4)])
def test_tasks_partition_the_data_under_remapped_labels(sizes):
    whole, stream = data(), ClassIncremental(data(), sizes, 5)
    assert len(stream) == len(sizes)
    assert sorted(stream.order) == list(range(CLASSES))
    for split, each in (("train", TRAIN), ("test", TEST)):
        x, y = getattr(whole, f"{split}_x"), getattr(whole, f"{split}_y")
        number = dict(zip(x[:, 0, 0, 0].tolist(), y.tolist(), strict=True))
        seen = []
        for k, task in enumerate(stream):
            assert task.index == k + 1
            assert task is stream[k]
            tx, ty = getattr(task, f"{split}_x"), getattr(task, f"{split}_y")
            assert task.labels == range(sum(sizes[:k]), sum(sizes[: k + 1]))
            assert (tx.dtype, ty.dtype) == (np.uint8, np.int64)
            assert np.bincount(ty, minlength=CLASSES)[list(task.labels)].tolist() == [each] * sizes[k]
            assert len(tx) == len(ty) == each * sizes[k]
            for image, label in zip(tx[:, 0, 0, 0].tolist(), ty.tolist(), strict=True):
                assert stream.order[label] == number[image]
            seen += tx[:, 0, 0, 0].tolist()
        assert sorted(seen) == sorted(number)
