"""A labelled image dataset in memory, or mapped into it, and what must be true of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from zfscale.data.findings import Findings
from zfscale.data.overlap import digests, overlap
from zfscale.errors import DataError


@dataclass(frozen=True)
class ImageData:
    """A labelled image dataset.

    Shapes: train_x uint8 [N, C, H, W], train_y int64 [N] in 0..len(classes)-1; likewise test_x, test_y.
    """

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    classes: tuple[str, ...]


def check_labels(name: str, train_y: np.ndarray, test_y: np.ndarray, classes: Sequence[str]) -> None:
    """Every class has images to learn from and to test on, and every image a class. Errors: DataError."""
    for split, y in (("train", train_y), ("test", test_y)):
        if (y < 0).any() or (y >= len(classes)).any():
            raise DataError(f"{name}: the {split} split has images without a label")
        counts = np.bincount(y, minlength=len(classes))
        if not counts.all():
            raise DataError(f"{name}: the {split} split has no image of class {classes[int(counts.argmin())]!r}")


def check_shared(name: str, shared: np.ndarray, train_y: np.ndarray, classes: Sequence[str]) -> None:
    """What is left when `shared` training images are left out has every class. Errors: DataError."""
    if shared.all():
        raise DataError(f"{name}: all {len(shared)} training images are also test images; split them by hand")
    left = np.bincount(train_y[~shared], minlength=len(classes))
    if not left.all():
        known = classes[int(left.argmin())]
        raise DataError(f"{name}: all training images of class {known!r} are also test images; split them by hand")


def disjoint(name: str, data: ImageData, findings: Findings) -> ImageData:
    """The dataset without the training images that are also test images, which are counted. Errors: DataError."""
    found = overlap(digests(data.train_x), data.train_y, digests(data.test_x), data.test_y)
    found.say(findings)
    if not found.shared.any():
        return data
    check_shared(name, found.shared, data.train_y, data.classes)
    return replace(data, train_x=data.train_x[~found.shared], train_y=data.train_y[~found.shared])
