"""A Parquet file that carries its own checksum: any byte of it that changes is noticed, and so is any cut.

The SHA-256 is an entry of the file's own key-value metadata, of a fixed length. It is taken with zeros in its place.
"""

from __future__ import annotations

import hashlib
import re

import pyarrow as pa
import pyarrow.parquet as pq

KEY = b"zfscale.sha256"
BLANK = b"0" * 64
ENTRY = re.compile(re.escape(KEY) + rb"..([0-9a-f]{64})", re.DOTALL)  # Thrift puts type and length before the value


def parquet(table: pa.Table, sealed: bool = False) -> bytes:
    """The table as the bytes of a Parquet file, with checksums of its pages, and of all of it where it is `sealed`."""
    # No Arrow schema, no statistics, no dictionaries of numbers: half of a small file, and no reader needs them.
    text = [field.name for field in table.schema if pa.types.is_string(field.type)]
    how = {"compression": "zstd", "store_schema": False, "write_statistics": False, "use_dictionary": text}
    if len(table) == 1:  # of a hundred columns, say: as small without, and written in half the time
        how |= {"compression": "none", "use_dictionary": False}
    target = pa.BufferOutputStream()
    with pq.ParquetWriter(target, table.schema, write_page_checksum=True, **how) as writer:
        writer.write_table(table)
        if sealed:
            writer.add_key_value_metadata({KEY.decode(): BLANK.decode()})
    data: bytes = target.getvalue().to_pybytes()
    if not sealed:
        return data
    return fill(data)


def fill(data: bytes) -> bytes:
    """The same with its checksum, of which it has zeros in the place."""
    found = ENTRY.search(data, data.rfind(KEY))
    assert found is not None, "Parquet keeps key-value metadata as it is"
    return data[: found.start(1)] + digest(data).encode() + data[found.end(1) :]


def intact(data: bytes) -> bool | None:
    """Whether a file is as it was sealed; None if it never was, as those of earlier versions."""
    at = data.rfind(KEY)
    if at < 0:
        return None
    found = ENTRY.match(data, at)
    return found is not None and digest(data[: found.start(1)] + BLANK + data[found.end(1) :]) == found[1].decode()


def digest(data: bytes | memoryview) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
