"""The pictures that an installation carries."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from zfscale.data import pictures
from zfscale.data.images import FASHION_MNIST_DIR, load
from zfscale.errors import DataError


def test_photos_are_the_tiles_of_photographs():
    x, y, names = pictures.photos()
    assert (x.shape, x.dtype, tuple(names)) == ((1038, 3, 28, 28), np.uint8, ("china", "flower", "portrait"))
    for label, image in enumerate(load_sample_images().images):  # china, flower: 427 x 640
        mine = x[y == label].transpose(0, 2, 3, 1).reshape(15, 22, 28, 28, 3)
        for i, j in ((0, 0), (3, 21), (14, 7)):
            assert np.array_equal(mine[i, j], image[i * 28 : i * 28 + 28, j * 28 : j * 28 + 28])
    assert np.bincount(y).tolist() == [330, 330, 378]


def test_glyphs_are_black_on_white_and_whole():
    x, y, names = pictures.glyphs()
    assert (x.shape, x.dtype, len(names)) == ((52 * 22, 1, 28, 28), np.uint8, 52)
    assert np.bincount(y).tolist() == [22] * 52
    assert (x[:, :, [0, -1]] == 255).all()
    assert (x[..., [0, -1]] == 255).all()
    assert (x.min((1, 2, 3)) < 64).all()
    assert len({image.tobytes() for image in x}) == len(x)
    ink = (255 - x.astype(int)).sum((1, 2, 3))
    assert ink[y == names.index("M")].mean() > 2 * ink[y == names.index("i")].mean()


def test_fashion1k_is_of_the_test_split():
    x, y, names = pictures.fashion1k()
    assert (x.shape, x.dtype) == ((1000, 1, 28, 28), np.uint8)
    assert np.bincount(y).tolist() == [100] * 10
    if not FASHION_MNIST_DIR.is_dir():
        pytest.skip("Fashion-MNIST is not installed")
    whole = load("fashion_mnist", 28)
    assert tuple(names) == whole.classes
    known = {image.tobytes(): label for image, label in zip(whole.test_x, whole.test_y, strict=True)}
    assert [known[image.tobytes()] for image in x] == y.tolist()


@pytest.mark.parametrize(("name", "sizes"), [("photos", (830, 208)), ("glyphs", (936, 208)), ("fashion1k", (800, 200))])
def test_they_are_datasets(name, sizes):
    data = load(name, 28)
    assert (len(data.train_x), len(data.test_x)) == sizes
    assert data.train_y.dtype == np.int64
    assert set(data.train_y) == set(data.test_y) == set(range(len(data.classes)))


def test_a_package_without_its_pictures_is_a_clear_error(monkeypatch):
    monkeypatch.setitem(pictures.PHOTOGRAPHS, "china", ("sklearn", "datasets/images/nosuch.jpg"))
    with pytest.raises(DataError, match=r"'sklearn' does not carry datasets/images/nosuch\.jpg"):
        pictures.photos()
