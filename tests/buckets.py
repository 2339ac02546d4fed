"""A bucket in memory: like an object store's, its files appear when they are closed, and folders need no making."""

from __future__ import annotations

from uuid import uuid4

import pyarrow.fs as pafs
from fsspec.implementations.memory import MemoryFileSystem

from zfscale.results.storage import Storage


def bucket() -> Storage:
    """An empty one of its own."""
    name = uuid4().hex
    return Storage(f"s3://{name}/r", pafs.PyFileSystem(pafs.FSSpecHandler(MemoryFileSystem())), f"/{name}/r")
