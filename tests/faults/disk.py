"""Disks that refuse for some seconds, with no library in between: a small one that fills, flags, mounts, limits."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.faults.life import DRIVER, WORKER, Life

SIZE = "32m"  # of a disk
SECONDS = (1.0, 12.0)  # that a fault lasts: less than the minute for which zfscale tries again


@contextmanager
def own_disk(folder: Path) -> Iterator[None]:
    """A small file system in memory at the folder; needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    _do("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "zfscale-faults", str(folder))
    try:
        yield
    finally:
        _do("umount", "--lazy", str(folder))


def disk_full(life: Life) -> bool:
    """The disk is filled to the last byte, and there is room again some seconds later."""
    filler = life.folder / "filler"
    with open(filler, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    _last(life)
    filler.unlink()
    return life.runs


def read_only(life: Life) -> bool:
    """No file in any folder of the results can be made, renamed or removed, even by root."""
    found = [life.results, *(path for path in life.results.rglob("*") if path.is_dir())]
    folders = [str(path) for path in found if path.exists()]
    _do("chattr", "+i", *folders)
    try:
        _last(life)
    finally:
        _do("chattr", "-i", *folders)
    return life.runs


def file_system_gone(life: Life) -> bool:
    """The results are not to be seen, and nothing can be written there, as where a server does not answer."""
    life.results.mkdir(parents=True, exist_ok=True)
    place = str(life.results)
    _do("mount", "-t", "tmpfs", "-o", "size=4k,mode=0", "zfscale-gone", place)
    _do("chattr", "+i", place)
    try:
        _last(life)
    finally:
        _do("umount", "--lazy", place)
    return life.runs


def write_error(life: Life) -> bool:
    """The driver, or a worker, can write to no file."""
    process = life.one(life.draw.choice([DRIVER, WORKER]))
    if process is None:
        return False
    try:
        _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (0, hard))
        _last(life)
        process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    except psutil.NoSuchProcess:
        return False
    return True


def _last(life: Life) -> None:
    time.sleep(life.draw.uniform(*SECONDS))


def _do(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
