"""Files as streams of bytes: compressed ones are unpacked by their first bytes, whatever they are called."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zfscale.data.formats.catalogue import COMPRESSED
from zfscale.data.hub import reason
from zfscale.errors import DataError

MAGIC = {  # first bytes -> codec
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",  # and, behind a digit, `BLOCK`
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
BLOCK = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")  # bz2's first block, or its end: a text may begin with BZh


def codec(head: bytes) -> str | None:
    """How the bytes that start a file, 10 at least, are compressed; None if they are not."""
    found = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    return None if found == "bz2" and head[4:10] not in BLOCK else found


@contextmanager
def unpacked(file: str) -> Iterator[Any]:
    """A binary stream of a file's content, with `read`.

    Errors: DataError with the file if it cannot be opened, and for whatever reading it within the context raises,
    as a cut or damaged archive does.
    """
    try:
        with open(file, "rb") as raw:
            head = raw.read(10)
            raw.seek(0)
            found = codec(head)
            if found is None and head and file.lower().endswith(COMPRESSED):
                raise DataError(f"{file}: is named as a compressed file and is none (it starts with {head[:4]!r})")
            yield raw if found is None else _stream(raw, found)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{file}: cannot be read: {reason(error)}") from error


def _stream(raw: Any, found: str) -> Any:
    if found == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if found == "bz2":
        return bz2.BZ2File(raw)
    if found == "xz":
        return lzma.LZMAFile(raw)
    import pyarrow as pa

    if not pa.Codec.is_available(found):
        raise DataError(f"{raw.name}: is compressed by {found}, which this build of pyarrow cannot read; unpack it")
    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), found)
