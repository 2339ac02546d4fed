"""Results in a directory that every node sees: a file is written aside, fsynced if it must last, and renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow.fs as pafs

from zfscale.errors import ZfscaleError
from zfscale.results.bucket import Storage
from zfscale.results.layout import RUNNING, SCRATCH, SHEETS, SNAPSHOTS, SWITCH, TABLES
from zfscale.results.patience import told


class Directory(Storage):
    """A directory, which may be a link; nothing in it is written through one. Files are written aside in `scratch`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        super().__init__(str(root), pafs.LocalFileSystem(), str(self.root))

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted, links that lead nowhere and names that are not UTF-8 too."""
        with told(f"{self}/{folder}"):
            try:
                return sorted(f"{folder}/{name}" for name in os.listdir(self.root / folder))
            except FileNotFoundError:
                return []

    def times(self, folder: str) -> dict[str, float]:
        """When each file of a folder was written, in seconds since 1970, by name; an empty folder is the root."""
        found, prefix = dict[str, float](), f"{folder}/" if folder else ""
        with told(f"{self}/{folder}"), suppress(FileNotFoundError), os.scandir(self.root / folder) as files:
            for file in files:
                with suppress(FileNotFoundError):  # it has just gone
                    found[f"{prefix}{file.name}"] = file.stat(follow_symlinks=False).st_mtime
        return found

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        return (self.root / name).exists()

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none. A pipe or a device, which might never end, is refused."""
        with told(f"{self}/{name}"):
            path = self.root / name
            try:
                if not (path.is_file() or path.is_dir()) and path.exists():
                    raise OSError(errno.EINVAL, "is no regular file")
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all in it; of a link, the link."""
        self._real(name)
        path = self.root / name
        with told(f"{self}/{name}"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def move(self, name: str, target: str) -> None:
        """Renamed, for good."""
        self._real(name)
        self._real(target)
        with told(f"{self}/{target}"):
            os.replace(self.root / name, self.root / target)
            fsync((self.root / target).parent)

    @property
    def scratch(self) -> Path:
        """Files that are being written; outside the tables, so no reader sees them."""
        return self.root / SCRATCH

    @contextmanager
    def writing(self, name: str, lasting: bool = True) -> Iterator[Path]:
        """Written aside, fsynced if it shall be `lasting`, renamed."""
        self._real(name)
        final = self.root / name
        with told(f"{self}/{name}"):
            final.parent.mkdir(parents=True, exist_ok=True)
            with self._aside(name) as aside:
                yield aside
                if lasting:
                    fsync(aside)
                os.replace(aside, final)
                if lasting:
                    fsync(final.parent)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """The file itself."""
        yield self.root / name

    def local(self, name: str) -> Path:
        """The place itself."""
        self._real(name)
        path = self.root / name
        with told(f"{self}/{name}"):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def send(self, name: str) -> None:
        """It is there."""

    def check(self) -> None:
        """ZfscaleError if a file or folder that a run writes to is a link: what it leads to would be changed."""
        folders = (*RUNNING, SNAPSHOTS)
        inside = [name for folder in folders for name in self.names(folder)]
        for name in (SCRATCH, SWITCH, *folders, *TABLES, *inside):
            self._real(name, itself=True)

    def _real(self, name: str, itself: bool = False) -> None:
        """ZfscaleError if a folder that holds the file is a link, or the file `itself`."""
        parts = Path(name).parts
        for end in range(1, len(parts) + itself):
            if self.root.joinpath(*parts[:end]).is_symlink():
                link = "/".join(parts[:end])
                raise ZfscaleError(f"{self}/{link}: is a symbolic link, which no run writes through; remove it")

    def _beside(self, name: str) -> Path:
        return self.scratch if name.rpartition("/")[0] not in ("", SHEETS) else self.root


def fsync(path: Path) -> None:
    """Hand a file, or the names in a directory, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
