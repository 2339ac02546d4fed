"""The files that a glob stands for: which are there, which cannot be used, and what they hold."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from zfscale.data.aside import Aside
from zfscale.data.progress import progress
from zfscale.data.sniff import irregular
from zfscale.errors import DataError

SHOWN = 10  # problems that an error lists
RECENT = 2_000_000_000  # ns; a file that changed so lately may change again within its time stamp


@dataclass(frozen=True)
class FileSet:
    """Absolute paths, sorted; what the glob found that is no file; and what is to be said of what was left out."""

    files: Sequence[str]
    problems: Sequence[str]
    notes: Sequence[str]


def matching(pattern: str) -> FileSet:
    """The files that a glob matches, `**` at any depth; one that links reach several times is there once.

    Errors: DataError if there is none.
    """
    pattern = os.path.expanduser(pattern)
    pattern = glob.escape(pattern) if os.path.isfile(pattern) else pattern  # a name may hold [ and ]
    found = sorted({os.path.abspath(f) for f in glob.glob(pattern, recursive=True)})
    kinds = {f: irregular(f) for f in found if not os.path.isdir(f)}
    files = [f for f, problem in kinds.items() if problem is None]
    problems = [f"{f}: {problem}" for f, problem in kinds.items() if problem is not None]
    if not files and not problems:
        hint = f"; it is a directory: {os.path.join(pattern, '**', '*')}?" if os.path.isdir(pattern) else ""
        raise DataError(f"{pattern}: no file matches{hint}")
    once = _once(files)
    again = len(files) - len(once)
    notes = [f"{again:,} files are reached again by links, and read once"] if again else []
    return FileSet(once, problems, [*notes, *_hidden(pattern, once)])


def refuse(problems: Sequence[str], files: int) -> None:
    """One DataError of all problems, with the first ones in full; nothing if there are none."""
    if len(problems) == 1:
        raise DataError(problems[0])
    if problems:
        more = f"; and {len(problems) - SHOWN:,} more" if len(problems) > SHOWN else ""
        raise DataError(f"{len(problems):,} of {files:,} files cannot be used: {'; '.join(problems[:SHOWN])}{more}")


def digests(files: Iterable[str], memory: Path | None, check: Callable[[str], None]) -> tuple[list[str], list[str]]:
    """The digest of each file, once `check` has passed it; and the errors that `check` raised instead.

    With a file `memory`, what has not changed since (by inode, size and times of content and inode) is not read again.
    """
    known = _recall(memory)
    stats = {file: _stat(file) for file in files}
    new = {file: stat for file, stat in stats.items() if stat is None or known.get(file, [None])[:-1] != stat}
    found, problems = {file: known[file][-1] for file in stats if file not in new}, []
    with progress("reading files", sum(stat[2] for stat in new.values() if stat), "bytes") as advance:
        for file in new:
            try:
                check(file)
                found[file] = digest(file, advance)
            except DataError as error:
                problems.append(str(error))
            except OSError as error:  # it is gone since the glob was read
                problems.append(f"{file}: cannot be read: {error.strerror}")
    if new and memory is not None and not problems:
        now = time.time_ns()
        if lasting := {f: [*s, found[f]] for f, s in stats.items() if s and now - max(s[3:]) > RECENT}:
            _remember(memory, lasting)
    return [found[file] for file in stats if file in found], problems


def size(file: str) -> int:
    """Bytes of a file; DataError if it is gone."""
    try:
        return os.path.getsize(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error


def digest(file: str, advance: Callable[[int], None] = lambda _: None) -> str:
    """The sha256 of a file's content, which is never whole in memory; DataError if it cannot be read."""
    found = hashlib.sha256()
    try:
        with open(file, "rb") as handle:
            for part in iter(partial(handle.read, 1 << 20), b""):
                found.update(part)
                advance(len(part))
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    return found.hexdigest()


def _stat(file: str) -> list[int] | None:
    """Device, inode, size, and the times of content and inode, which no program sets back; None if there is none."""
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _recall(memory: Path | None) -> dict[str, list[Any]]:
    try:
        found = json.loads(memory.read_text()) if memory is not None else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(memory: Path, known: dict[str, list[Any]]) -> None:
    """As far as it can be written: without it, the files are read again."""
    try:
        aside = Aside(memory.parent)
    except OSError:
        return
    try:
        aside.file.write(json.dumps(known).encode())
        aside.keep(memory)
    except OSError:
        pass
    finally:
        aside.drop()


def _once(files: Iterable[str]) -> list[str]:
    """Of the paths to one file, as symbolic links to it or to a directory above make them, the first one."""
    real: dict[str, str] = {}
    places: dict[str, str] = {}
    for file in files:
        directory, name = os.path.split(file)
        if directory not in places:
            places[directory] = os.path.realpath(directory)
        target = os.path.realpath(file) if os.path.islink(file) else os.path.join(places[directory], name)
        real.setdefault(target, file)
    return list(real.values())


def _hidden(pattern: str, files: Sequence[str]) -> list[str]:
    """One line on the hidden files and directories beside the files, which `*` and `**` do not match."""
    matched, below, last = set(files), "**" in pattern, os.path.basename(pattern)
    found = 0
    for directory in {os.path.dirname(file) for file in files} if glob.has_magic(pattern) else ():
        with os.scandir(directory) as entries:
            hidden = [entry for entry in entries if entry.name.startswith(".") and entry.path not in matched]
            found += sum(below if entry.is_dir() else fnmatch(entry.name, last) for entry in hidden)
    return [f"{found:,} hidden files or directories beside the others are not read"] if found else []
