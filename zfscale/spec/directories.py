"""The layout of a directory of images: one directory per class, at its top or below those of its splits.

Names alone are looked at, so that a sweep file is checked with the rules by which the images are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zfscale.errors import DataError
from zfscale.spec.splits import choose, role

EXPECTED = "expected are ROOT/CLASS/IMAGE, or ROOT/train/CLASS/IMAGE and ROOT/test/CLASS/IMAGE"
TABLE = "a table of files and labels is format: csv"
JUNK = {
    *("__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "lost+found"),
    *("$recycle.bin", "system volume information"),
}
RENAME = "rename or move one of them"


@dataclass(frozen=True)
class Layout:
    """Where the classes of an image folder are; `test` is None where it is cut out of `train`."""

    train: Path
    test: Path | None
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def is_junk(name: str) -> bool:
    """Whether a file or directory is hidden, or left behind by an operating system or an editor."""
    return name.startswith(".") or name.lower() in JUNK


def is_directory(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a directory or a link to one; a link that leads in a circle is none."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def layout(root: Path) -> Layout:
    """The splits and classes of the image folder `root`.

    Errors: DataError if it is none, if its classes hold only directories, or if two splits have different classes.
    """
    names = _directories(root)
    splits = _splits(root, names)
    if not splits:
        return Layout(root, None, _classes(root))
    others = [repr(name) for name in names if name not in splits]
    if others and role(splits[0]) != "train" and len(splits) == 1:
        raise DataError(f"{shown(root)}: is {splits[0]!r} a split, or a class as {_first(others)}? {EXPECTED}")
    chosen = choose(splits, shown(root), RENAME)
    train, test = root / chosen.train, None if chosen.test is None else root / chosen.test
    classes = _classes(train)
    if test is not None:
        assert_same(classes, _classes(test), shown(train), shown(test))
    notes = [f"not used: {_first(others)}, beside the splits"] if others else []
    return Layout(train, test, classes, (*chosen.notes, *notes))


def assert_same(a: Iterable[str], b: Iterable[str], where_a: str, where_b: str) -> None:
    """Two splits have the same classes, or a DataError names those that one has and the other has not."""
    only_a, only_b = sorted(set(a) - set(b)), sorted(set(b) - set(a))
    problems = [
        f"{_first([repr(name) for name in only])} {'is' if len(only) == 1 else 'are'} only in {where}"
        for only, where in ((only_a, where_a), (only_b, where_b))
        if only
    ]
    if problems:
        raise DataError(f"{where_a} and {where_b} have different classes: {'; '.join(problems)}")


def shown(path: Path | str) -> str:
    """A path as text of one line, with escapes for what cannot be printed."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _splits(root: Path, names: list[str]) -> list[str]:
    """Those of the directories in `root` that are splits.

    A class may be called "train", too: a split has directories in it, or stands beside other splits alone.
    """
    named = [name for name in names if role(name) is not None]
    if len(named) == len(names) or {"train"} < {role(name) for name in named}:
        return named
    return [name for name in named if _directories(root / name)]


def _classes(root: Path) -> tuple[str, ...]:
    names = _directories(root)
    if not names:
        raise DataError(f"{shown(root)}: no class subdirectories; {EXPECTED}; {TABLE}")
    deep = [name for name in names if _only_directories(root / name)]
    if deep:
        what = f"{_first([repr(name) for name in deep])} {'holds' if len(deep) == 1 else 'hold'} only directories"
        hint = f"; is {shown(root / deep[0])} the one that is meant?" if len(names) == 1 else ""
        raise DataError(f"{shown(root)}: {what}, where images of a class belong; {EXPECTED}{hint}")
    return tuple(names)


def _directories(root: Path) -> list[str]:
    """Names of the directories in `root`, sorted."""
    try:
        with os.scandir(root) as entries:
            return sorted(entry.name for entry in entries if not is_junk(entry.name) and is_directory(entry))
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{shown(root)}: {what.lower()}; expected a directory, one subdirectory per class") from error


def _only_directories(root: Path) -> bool:
    """Whether there are directories in it, and no file."""
    found = False
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if not is_junk(entry.name):
                    if not is_directory(entry):
                        return False
                    found = True
    except OSError as error:
        raise DataError(f"{shown(root)}: {error.strerror}") from error
    return found


def _first(names: list[str]) -> str:
    """At most ten of the names, and how many there are beyond."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
