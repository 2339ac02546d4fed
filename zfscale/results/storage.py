"""Where results lie: a directory that every node sees, or a bucket behind a URL."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

import pyarrow.fs as pafs

from zfscale.errors import ZfscaleError
from zfscale.results.bucket import Storage
from zfscale.results.directory import Directory
from zfscale.spec.text import no_secret, results_place

__all__ = ["Directory", "Place", "Storage", "storage"]

Place: TypeAlias = "Storage | Path | str"


def storage(place: Place, folder: str = "") -> Storage:
    """The storage of a path or URL, or of a folder in it; a storage is its own.

    Errors: ZfscaleError for a URL that pyarrow cannot open, or one that holds credentials.
    """
    if isinstance(place, Storage):
        return place
    if "://" not in str(place):
        return Directory(Path(place, folder))
    try:
        parts = urlsplit(no_secret(results_place(str(place))))
        if parts.scheme == "file":
            return Directory(Path(parts.path, folder))
        parts = parts._replace(path=f"{parts.path.rstrip('/')}/{folder}".rstrip("/"))
        return Storage(urlunsplit(parts), *pafs.FileSystem.from_uri(urlunsplit(parts)))
    except (ValueError, OSError) as error:  # pyarrow's errors are both
        shown = str(place).rpartition("@")[2]  # no user, no password
        raise ZfscaleError(f"{shown}: {str(error).partition(chr(10))[0]}") from error
