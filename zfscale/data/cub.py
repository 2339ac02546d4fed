"""The files of CUB_200_2011 (Wah et al. 2011): four lists of `number value` beside a directory of images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from zfscale.data.findings import Findings
from zfscale.data.listing import Files, Listing, Part, read_file
from zfscale.data.tables import MOST_PROBLEMS
from zfscale.errors import DataError
from zfscale.spec.directories import assert_same, shown

LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")


def cub(root: Path, findings: Findings) -> Listing:
    """The birds of the directory that holds `LISTS` and `images/`. Errors: DataError."""
    root = root / "CUB_200_2011" if (root / "CUB_200_2011").is_dir() else root
    names, labels, trains, classes = (_numbered(root / name) for name in LISTS)
    for other, file in ((labels, LISTS[1]), (trains, LISTS[2])):
        _same(names, other, f"{shown(root)}: the images of {LISTS[0]} and {file}")
    _same(classes, labels.values(), f"{shown(root)}: the classes of {LISTS[3]} and {LISTS[1]}")
    if wrong := sorted(set(trains.values()) - {"0", "1"}):
        raise DataError(f"{shown(root / LISTS[2])}: {wrong[0]!r} is neither 0 (test) nor 1 (train)")
    missing = [name for name in names.values() if not (root / "images" / name).is_file()]
    if missing:
        first = ", ".join(missing[:MOST_PROBLEMS])
        raise DataError(f"{shown(root / 'images')}: {len(missing)} of {len(names)} images are missing: {first}")
    number = {key: i for i, key in enumerate(sorted(classes, key=int))}

    def split(flag: str) -> Part:
        mine = [key for key in names if trains[key] == flag]
        if not mine:
            raise DataError(f"{shown(root / LISTS[2])}: no image has {flag}; 1 is for training, 0 for testing")
        files = [root / "images" / names[key] for key in mine]
        return Part(Files(files), np.array([number[labels[key]] for key in mine], dtype=np.int64))

    train, test = split("1"), split("0")
    titles = [classes[key] for key in number]
    trained, tested = ({titles[i] for i in part.labels} for part in (train, test))
    assert_same(trained, tested, f"{shown(root)}: training", "testing")
    return Listing(shown(root), train, test, tuple(titles))


def _numbered(file: Path) -> dict[str, str]:
    """The lines `number value` of a file."""
    found: dict[str, str] = {}
    try:
        lines = read_file(file).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(file)}: byte {error.start} is not UTF-8") from error
    for line, text in enumerate(lines, start=1):
        key, _, value = text.strip().partition(" ")
        if not text.strip():
            continue
        if not key.isdecimal() or not value or key in found:
            what = "a second line for this number" if key in found else "expected a number and a value"
            raise DataError(f"{shown(file)}:{line}: {text.strip()[:80]!r}: {what}")
        found[key] = value.strip()
    return found


def _same(a: Iterable[str], b: Iterable[str], what: str) -> None:
    differ = sorted(set(a) ^ set(b))
    if differ:
        raise DataError(f"{what} differ: {', '.join(differ[:MOST_PROBLEMS])} ({len(differ)} in all)")
