"""Train and test never share an image: by a hash of the pixels, for every dataset, and across domains it is told."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.data.pictures_as import encoded, noise
from tests.data.test_images_folders import folder, layout, refused, write
from zfscale.data.image_data import ImageData
from zfscale.data.images import DATASETS, FASHION_MNIST_DIR, load
from zfscale.data.overlap import digests, say_shared_domains


def keys(x: np.ndarray) -> set[bytes]:
    return set(digests(x))


@pytest.mark.parametrize("name", DATASETS)
def test_embedded_datasets_share_nothing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    if name == "fashion_mnist" and not FASHION_MNIST_DIR.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    data = load(name, 28)
    assert not keys(data.train_x) & keys(data.test_x)
    assert not caplog.records


def test_shared_images_are_left_out_of_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "zfscale")
    root = write(tmp_path, *layout("train", "test", images=4))
    (root / "train" / "a" / "3.png").write_bytes(encoded(noise(1)))
    (root / "test" / "a" / "3.bmp").write_bytes(encoded(noise(1), "BMP"))  # the same pixels, other bytes
    data = folder(root)
    assert (len(data.train_y), len(data.test_y)) == (7, 9)
    assert data.train_y.tolist() == [0] * 3 + [1] * 4
    assert not keys(data.train_x) & keys(data.test_x)
    line = f"dataset {root}: 1 of 8 training images are also test images; they are left out of training"
    assert [record.getMessage() for record in caplog.records] == [line]


def test_there_must_be_something_left(tmp_path: Path) -> None:
    root = write(tmp_path, *layout("train", "test", images=2))
    for i in range(2):
        (root / "train" / "a" / f"{i}.png").write_bytes((root / "test" / "a" / f"{i}.png").read_bytes())
    refused(root, str(root), "all training images of class 'a' are also test images")
    for i in range(2):
        (root / "train" / "b" / f"{i}.png").write_bytes((root / "test" / "b" / f"{i}.png").read_bytes())
    refused(root, str(root), "all 4 training images are also test images")


def test_images_with_two_labels_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "zfscale")
    root = write(tmp_path, *layout("train", "test"))
    for c in "ab":
        (root / "train" / c / "0.png").write_bytes(encoded(noise(1)))
    data = folder(root)
    assert len(data.train_y) == 6
    assert "2 images of a split equal another of a different class" in caplog.text


def test_domains_that_share_images_are_told(caplog: pytest.LogCaptureFixture) -> None:
    def domain(train: range, test: range) -> ImageData:
        x, y = (np.stack([noise(i).transpose(2, 0, 1) for i in part]) for part in (train, test))
        return ImageData(x, np.zeros(len(x), np.int64), y, np.zeros(len(y), np.int64), ("a",))

    domains = [("one", domain(range(4), range(4, 6))), ("two", domain(range(4, 8), range(8, 9)))]
    say_shared_domains(domains[:1])
    assert not caplog.records
    say_shared_domains(domains)
    line = "dataset two: 2 of 4 training images are held-out images of the domain 'one'"
    assert [record.getMessage() for record in caplog.records] == [line]
