"""A rehearsal buffer: of every class seen, the images whose mean feature is nearest the class's own.

The choice is herding (Rebuffi et al., iCaRL, CVPR 2017, algorithms 4 and 5). Shapes: N images, D features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Buffer:
    """At most `size` images: of each of m classes the first size // m in the order in which herding takes them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._images: dict[int, np.ndarray] = {}  # class -> its images, the most telling first

    def add(self, x: np.ndarray, y: np.ndarray, features: np.ndarray) -> None:
        """Take in new classes: images [N, ...], their labels [N] and features [N, D]; the old ones make room."""
        new = np.unique(y)
        share = self.size // (len(self._images) + len(new))
        self._images = {label: images[:share] for label, images in self._images.items()}
        for label in new:
            rows = np.flatnonzero(y == label)
            self._images[int(label)] = x[rows[herd(features[rows], share)]]

    @property
    def x(self) -> list[np.ndarray]:
        """The images [n, ...] of each class."""
        return list(self._images.values())

    @property
    def y(self) -> list[np.ndarray]:
        """The labels [n] of each class."""
        return [np.full(len(images), label, dtype=np.int64) for label, images in self._images.items()]


def herd(features: np.ndarray, count: int) -> np.ndarray:
    """Rows in the order in which they are taken, `count` of them or all.

    Each is the one that brings the mean of those taken nearest the mean of all; features are of length 1. In float64,
    the first of equals.
    """
    f = features.astype(np.float64)
    f /= np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-12)
    mean, total, rows = f.mean(0), np.zeros(f.shape[1]), list[int]()
    left = np.ones(len(f), dtype=bool)
    for k in range(1, min(count, len(f)) + 1):
        distance = np.linalg.norm(mean - (total + f) / k, axis=1)
        row = int(np.where(left, distance, np.inf).argmin())
        rows.append(row)
        left[row] = False
        total += f[row]
    return np.array(rows, dtype=np.int64)


def held(size: int, counts: Sequence[int]) -> int:
    """How many images a buffer holds of classes that have these many."""
    return sum(min(size // len(counts), n) for n in counts) if counts else 0
