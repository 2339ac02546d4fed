"""Image folders: which files of a class directory are its images, and what is left out.

Hidden files and directories, files that are no images and links to what is read anyway are left out and counted. A file
whose suffix is an image's must be readable: it is an error if it is not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np

from zfscale.data.findings import Findings, listed
from zfscale.data.image_formats import READABLE, UNREADABLE, is_image
from zfscale.data.listing import Files, Listing, Part
from zfscale.errors import DataError
from zfscale.spec.directories import EXPECTED, is_directory, is_junk, layout, shown

Entry: TypeAlias = "os.DirEntry[str]"
Identity: TypeAlias = "tuple[int, int] | tuple[()]"
HIDDEN = "hidden files or directories are left out"
OTHER = "{} files are no images and are left out"
DEEPER = "images lie in directories below those of their classes"
LOOSE = "images lie beside the class directories and are left out"
LINKS = "links to what is read anyway are left out"


def image_folder(root: Path, findings: Findings) -> Listing:
    """The images of a folder with one directory per class, or splits that hold those. Errors: DataError."""
    found = layout(root)
    findings.note(*found.notes)
    train = _part(found.train, found.classes, findings)
    test = None if found.test is None else _part(found.test, found.classes, findings)
    for top in {root, found.train, found.test or root}:
        _count_loose(top, findings)
    return Listing(shown(root), train, test, found.classes)


def _part(root: Path, classes: tuple[str, ...], findings: Findings) -> Part:
    files: list[Path] = []
    labels: list[int] = []
    problems: list[str] = []
    for label, name in enumerate(classes):
        mine = sorted(_images(root / name, findings, problems))
        if not mine and not problems:
            raise DataError(f"{shown(root / name)}: no images{_instead(root / name)}")
        if mine and all(path.parent != root / name for path in mine):
            raise DataError(f"{shown(root / name)}: all its images lie in directories below it; {EXPECTED}")
        files += mine
        labels += [label] * len(mine)
    if problems:
        more = len(problems) - 10
        raise DataError(listed([*problems[:10], *([f"and {more} more"] * (more > 0))], "files cannot be read"))
    return Part(Files(files), np.asarray(labels, dtype=np.int64))


def _images(root: Path, findings: Findings, problems: list[str]) -> Iterator[Path]:
    """The images of one class, in any order; what is left out is counted, what is unreadable is put into `problems`."""
    for entry in _walk(root, findings):
        path, suffix = Path(entry.path), os.path.splitext(entry.name)[1].lower()
        what = _special(entry)
        if suffix in UNREADABLE:
            problems.append(f"{shown(path)}: Pillow does not read {suffix} images; convert it to PNG or JPEG")
        elif what is not None and suffix in READABLE:
            problems.append(f"{shown(path)}: not a readable image: it is {what}")
        elif what is not None:
            findings.count(OTHER.format("special"), shown(path))
        elif suffix in READABLE or _sniffed(path):
            if path.parent != root:
                findings.count(DEEPER, shown(path))
            yield path
        else:
            findings.count(OTHER.format(suffix or "other"), shown(path))


def _walk(root: Path, findings: Findings) -> Iterator[Entry]:
    """All files below `root`; links are followed after everything else, once, and never to a directory above."""
    real = root.resolve()
    seen = {_identity(parent) for parent in real.parents}
    links: list[Entry] = []
    yield from _real(os.fspath(root), seen, links, findings)
    while links:
        now, links = sorted(links, key=lambda entry: entry.path), []
        for link in now:
            target = _identity(link.path)
            if target and target in seen:
                findings.count(LINKS, shown(link.path))
            elif is_directory(link):
                yield from _real(link.path, seen, links, findings)
            else:
                seen.add(target)
                yield link


def _real(top: str, seen: set[Identity], links: list[Entry], findings: Findings) -> Iterator[Entry]:
    """The files at and below `top`, but for directories `seen`; links are put into `links`, hidden entries counted."""
    pending = [top]
    while pending:
        directory = pending.pop()
        identity = _identity(directory)
        if identity in seen:
            continue
        seen.add(identity)
        for entry in _entries(directory):
            if is_junk(entry.name):
                findings.count(HIDDEN, shown(entry.path))
            elif entry.is_symlink():
                links.append(entry)
            elif entry.is_dir():
                pending.append(entry.path)
            else:
                seen.add((identity[0], entry.inode()) if identity else ())
                yield entry


def _identity(path: str | Path) -> Identity:
    """Device and inode; () of what is not there, and of a link that leads in a circle."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino


def _entries(directory: str) -> list[Entry]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{shown(directory)}: {error.strerror}") from error


def _special(entry: Entry) -> str | None:
    """What an entry is that is no regular file, else None; it is not opened, as a named pipe would hang."""
    if os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file():
        return None
    if not os.path.exists(entry.path):
        return f"a dangling link to {shown(os.readlink(entry.path))}"
    mode = entry.stat().st_mode
    kinds = {"a named pipe": stat.S_ISFIFO, "a socket": stat.S_ISSOCK}
    return next((kind for kind, test in kinds.items() if test(mode)), "a device")


def _sniffed(path: Path) -> bool:
    """Whether a file of any suffix is an image by its content."""
    try:
        with open(path, "rb") as file:
            return is_image(file)
    except OSError as error:
        raise DataError(f"{shown(path)}: {error.strerror}") from error


def _count_loose(root: Path, findings: Findings) -> None:
    """Images of no class."""
    for entry in _entries(os.fspath(root)):
        suffix = os.path.splitext(entry.name)[1].lower()
        if not is_junk(entry.name) and not is_directory(entry) and suffix in READABLE | UNREADABLE:
            findings.count(LOOSE, shown(entry.path))


def _instead(root: Path) -> str:
    """What a directory without images has."""
    found = sorted(entry.name for entry in _entries(os.fspath(root)))
    return f"; it holds {', '.join(map(shown, found[:5]))}" if found else "; it is empty"
