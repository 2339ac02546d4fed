"""Small files of text for tests, in each of the formats, and what is read of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from zfscale.data.corpora import find
from zfscale.data.notes import Notes

TABLES = ("jsonl", "csv", "parquet")
Row = dict[str, Any]


def table(format: str, rows: Sequence[Row]) -> bytes:
    """The rows as a file of a format; their keys are those of the first one."""
    if format == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if format == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().encode()
    raw = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(list(rows)), raw)
    return raw.getvalue().to_pybytes()


def put(path: Path, content: bytes | str) -> Path:
    """A file with its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path | str, format: str = "text", **options: Any) -> list[str]:
    return list(find({"path": str(path), "format": format, **options}).documents())


def notes(source: Any) -> list[str]:
    """What reading a source has to say."""
    found, corpus = Notes(), find(source)
    list(corpus.documents(found))
    return [*corpus.left_out, *found.lines()]
