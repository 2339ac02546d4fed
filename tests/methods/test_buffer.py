"""Herding against its definition in plain loops; a buffer that makes room for new classes."""

from __future__ import annotations

import numpy as np
import pytest

from zfscale.methods.buffer import Buffer, held, herd


def by_definition(features: np.ndarray, count: int) -> list[int]:
    """iCaRL's algorithm 4, a candidate at a time."""
    f = [v / np.linalg.norm(v) for v in features.astype(float)]
    mean, taken = sum(f) / len(f), list[int]()
    for k in range(1, min(count, len(f)) + 1):
        others = [i for i in range(len(f)) if i not in taken]
        taken.append(min(others, key=lambda i: np.linalg.norm(mean - (sum(f[j] for j in taken) + f[i]) / k)))
    return taken


@pytest.mark.parametrize("count", [1, 5, 12, 40])
def test_herding_takes_what_brings_the_mean_nearest(count):
    features = np.random.default_rng(count).normal(size=(12, 4)) + 1
    assert herd(features, count).tolist() == by_definition(features, count)


def test_herding_is_better_than_chance():
    features = np.random.default_rng(0).normal(size=(200, 8)) + 0.5
    f = features / np.linalg.norm(features, axis=1, keepdims=True)

    def error(rows):
        return np.linalg.norm(f[rows].mean(0) - f.mean(0))

    chance = [error(np.random.default_rng(i).permutation(200)[:10]) for i in range(50)]
    assert error(herd(features, 10)) < min(chance)


def test_old_classes_make_room_and_keep_their_first():
    buffer, draw = Buffer(12), np.random.default_rng(0)
    counts = []
    for first in (0, 2, 4):
        y = np.repeat([first, first + 1], 5)
        x = np.arange(10).reshape(10, 1) + 100 * first
        before = dict(zip((int(y[0]) for y in buffer.y), buffer.x, strict=True))
        buffer.add(x, y, draw.normal(size=(10, 3)))
        counts += [5, 5]
        assert sum(map(len, buffer.x)) == sum(map(len, buffer.y)) == held(12, counts) <= 12
        share = 12 // (first + 2)
        for labels, images in zip(buffer.y, buffer.x, strict=True):
            if (old := before.get(int(labels[0]))) is not None:
                assert np.array_equal(images, old[:share])
    assert held(12, []) == 0


def test_a_buffer_smaller_than_the_classes_holds_nothing():
    buffer = Buffer(1)
    buffer.add(np.zeros((4, 1)), np.array([0, 0, 1, 1]), np.ones((4, 2)))
    assert sum(map(len, buffer.x)) == 0 == held(1, [2, 2])
