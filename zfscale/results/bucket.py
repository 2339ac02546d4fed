"""Results in a bucket behind a URL; what every storage of results does.

A file is there whole or not at all: an object appears when its upload ends. Names are relative to the root, such as
"trials/a1b2.parquet". What the storage refuses is a `StorageError`, an OSError that names the file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import pyarrow.fs as pafs

from zfscale.errors import StorageError
from zfscale.results.patience import told


class Storage:
    """A bucket, or any other file system of pyarrow's whose files appear when they are closed.

    Args:
        url: What a user calls it.
        files: pyarrow's file system; it has credentials from the environment, as its provider's own tools do.
        base: The root within it.
    """

    def __init__(self, url: str, files: pafs.FileSystem, base: str) -> None:
        self.url, self.files, self.base = url, files, base.rstrip("/")

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part of the root."""
        return self.base.rpartition("/")[2]

    def path(self, name: str) -> str:
        """What `files` calls a name."""
        return f"{self.base}/{name}"

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted; nothing if there is no folder."""
        with told(f"{self}/{folder}"):
            found = self.files.get_file_info(pafs.FileSelector(self.path(folder), allow_not_found=True))
        return sorted(f"{folder}/{info.base_name}" for info in found)

    def times(self, folder: str) -> dict[str, float]:
        """When each file of a folder was written, in seconds since 1970, by name; an empty folder is the root.

        Some file systems know this of no file: those are left out.
        """
        place = self.path(folder) if folder else self.base
        with told(f"{self}/{folder}"):
            found = self.files.get_file_info(pafs.FileSelector(place, allow_not_found=True))
        prefix = f"{folder}/" if folder else ""
        return {f"{prefix}{info.base_name}": info.mtime_ns / 1e9 for info in found if info.mtime_ns is not None}

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        with told(f"{self}/{name}"):
            return self.files.get_file_info(self.path(name)).type is not pafs.FileType.NotFound

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""
        try:
            with told(f"{self}/{name}"), self.files.open_input_stream(self.path(name)) as file:
                data: bytes = file.read()
                return data
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def write(self, name: str, content: bytes, lasting: bool = True) -> None:
        """Write a whole file; one that is not `lasting` outlives every process, but may go where power fails."""
        with self.writing(name, lasting) as path:
            path.write_bytes(content)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all in it; nothing if there is neither."""
        with told(f"{self}/{name}"):
            kind = self.files.get_file_info(self.path(name)).type
            if kind is pafs.FileType.Directory:
                self.files.delete_dir(self.path(name))
            elif kind is not pafs.FileType.NotFound:
                self.files.delete_file(self.path(name))

    def move(self, name: str, target: str) -> None:
        """Give a file another name, in place of what has it; in a directory at once."""
        with told(f"{self}/{target}"):
            self.files.move(self.path(name), self.path(target))

    @cached_property
    def _temporary(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="zfscale-")  # goes with this object, or with the process

    @property
    def scratch(self) -> Path:
        """A directory of this machine for what is not whole yet."""
        return Path(self._temporary.name)

    def clear(self) -> None:
        """Remove what is in the scratch directory; for when nobody writes any more."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    @contextmanager
    def writing(self, name: str, lasting: bool = True) -> Iterator[Path]:
        """A path to write a file to; the file is there when the block ends without an error."""
        with told(f"{self}/{name}"), self._aside(name) as aside:
            yield aside
            self._upload(aside, name)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """A path to read a file from; an OSError if there is none."""
        with told(f"{self}/{name}"), self._aside(name) as aside:
            self._download(name, aside)
            yield aside

    def local(self, name: str) -> Path:
        """A path of this machine where a file or folder may grow; `send` brings it to its place."""
        path = self.scratch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() and self.files.get_file_info(self.path(name)).type is pafs.FileType.File:
            self._download(name, path)
        return path

    def send(self, name: str) -> None:
        """Copy what has grown at `local(name)`: a file replaces the one there; the files of a folder are moved."""
        path = self.scratch / name
        if path.exists():
            self._upload(path, name)
        if path.is_dir():
            shutil.rmtree(path)

    @contextmanager
    def _aside(self, name: str) -> Iterator[Path]:
        """A path to a file that is not there and will not stay. Those of the same name are of a killed attempt."""
        folder, flat = self._beside(name), name.replace("/", ".")
        folder.mkdir(parents=True, exist_ok=True)
        for stale in [path for path in folder.iterdir() if path.name.endswith(f"~{flat}")]:
            stale.unlink(missing_ok=True)
        aside = folder / f".{uuid4().hex}~{flat}"
        try:
            yield aside
        finally:
            aside.unlink(missing_ok=True)

    def check(self) -> None:
        """ZfscaleError if a run must not write here."""

    def _beside(self, name: str) -> Path:
        return self.scratch

    def _upload(self, path: Path, name: str) -> None:
        pafs.copy_files(
            str(path), self.path(name), source_filesystem=pafs.LocalFileSystem(), destination_filesystem=self.files
        )

    def _download(self, name: str, path: Path) -> None:
        with self.files.open_input_stream(self.path(name)) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)
