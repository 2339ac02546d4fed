"""The class order of the literature; tasks that partition the data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zfscale.data.image_data import ImageData
from zfscale.spec import StreamSpec
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


def test_a_listed_order_is_taken_as_it_is():
    listed = [3, 1, 0, 2, *range(4, CLASSES)]
    names = tuple(f"c{i}" if i % 2 else i for i in listed)
    given = StreamSpec(dataset="owner/name", tasks=3, class_order=names)
    assert ClassIncremental.misfit(given, data()) is None
    stream = ClassIncremental.of(given, data())
    assert list(stream.order) == listed
    whole = data()
    first = whole.train_x[np.isin(whole.train_y, listed[:4])]
    assert sorted(stream[0].train_x[:, 0, 0, 0]) == sorted(first[:, 0, 0, 0])


@pytest.mark.parametrize("validation", [0.3, 24])
def test_validation_images_stand_for_the_test_images_which_are_left_alone(validation):
    whole, sizes = data(), (6, 6)
    blind = replace(whole, test_x=None, test_y=None)  # type: ignore[arg-type]
    given = {"dataset": "owner/name", "tasks": 2, "validation": validation}
    orders = [ClassIncremental.of(StreamSpec(**given, class_order_seed=seed), blind) for seed in (1993, 7)]
    held = []
    for stream in orders:
        parts = [[task.train_x for task in stream], [task.test_x for task in stream]]
        train, tested = (np.concatenate(part)[:, 0, 0, 0].tolist() for part in parts)
        assert sorted(train + tested) == sorted(whole.train_x[:, 0, 0, 0].tolist())
        assert [np.bincount(t.test_y)[list(t.labels)].tolist() for t in stream] == [[2] * size for size in sizes]
        held.append(sorted(tested))
    assert held[0] == held[1]  # whatever the order of the classes


def test_validation_that_cannot_be_had_is_told():
    finding = ClassIncremental.misfit(StreamSpec(dataset="owner/name", tasks=2, validation=80), data())
    assert finding == (("stream", "validation"), "80 of 84 images; allowed: 12 to 72")
