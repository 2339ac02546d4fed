"""What a loader has found before an image is decoded: where the images are, and their labels."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from zfscale.errors import DataError
from zfscale.spec.directories import shown

TEST_SHARE = 0.2  # of each class, where a dataset has no test split of its own
SPLIT_SEED = 0


class Images(Protocol):
    """Encoded images in a fixed order."""

    def __len__(self) -> int: ...

    def where(self, i: int) -> str:
        """What an error calls image i: its file, or its dataset, split and row."""
        ...

    def read(self, i: int) -> bytes:
        """Its bytes. Errors: DataError."""
        ...


@dataclass(frozen=True)
class Files:
    """Images that are files."""

    files: Sequence[Path]

    def __len__(self) -> int:
        return len(self.files)

    def where(self, i: int) -> str:
        return shown(self.files[i])

    def read(self, i: int) -> bytes:
        return read_file(self.files[i])


@dataclass(frozen=True)
class Part:
    """A split: images, and int64 [N] labels."""

    images: Images
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Part:
        """Some of its rows."""
        return Part(_Some(self.images, rows), self.labels[rows])


@dataclass(frozen=True)
class _Some:
    """The images of these rows."""

    images: Images
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, i: int) -> str:
        return self.images.where(int(self.rows[i]))

    def read(self, i: int) -> bytes:
        return self.images.read(int(self.rows[i]))


@dataclass(frozen=True)
class Listing:
    """The dataset `name`; without `test`, a share of `train` is tested on."""

    name: str
    train: Part
    test: Part | None
    classes: tuple[str, ...]

    def split(self) -> tuple[Part, Part]:
        """What is trained on, and what is tested on. Errors: DataError if there is too little to cut."""
        if self.test is not None:
            return self.train, self.test
        train, test = cut(self.name, self.train.labels, self.classes)
        return self.train.take(train), self.train.take(test)


def read_file(file: Path) -> bytes:
    """The content of a regular file; nothing else is opened, as a named pipe would hang.

    Errors: DataError.
    """
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise DataError(f"{shown(file)}: not a regular file")
        return file.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        link = (
            f"it is a dangling link to {shown(os.readlink(file))}"
            if os.path.islink(file) and not file.exists()
            else None
        )
        raise DataError(f"{shown(file)}: cannot be read: {link or getattr(error, 'strerror', error)}") from error


def cut(name: str, labels: np.ndarray, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train and to test on: the last `TEST_SHARE` of each class after a shuffle by `SPLIT_SEED`, at least one.

    Errors: DataError if a class has fewer than two images.
    """
    rng = np.random.Generator(np.random.Philox(SPLIT_SEED))
    train, test = [], []
    for label, known in enumerate(classes):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) < 2:
            raise DataError(
                f"{name}: class {known!r} has {len(rows)} image(s); at least 2 are needed to split train and test"
            )
        end = min(len(rows) - 1, round(len(rows) * (1 - TEST_SHARE)))
        train.append(rows[:end])
        test.append(rows[end:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))
