"""What the name of a file says of its format: the suffixes of tables, below those of compressed files."""

from __future__ import annotations

from pathlib import PurePath

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zstd", ".lz4")
TABLES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}


def table_format(path: str) -> str | None:
    """The format of tables that a file's name claims; None if it claims none.

    >>> table_format("web/part-0.JSONL.gz"), table_format("book.txt.gz")
    ('jsonl', None)
    """
    name = PurePath(path.lower())
    return TABLES.get(PurePath(name.stem).suffix if name.suffix in COMPRESSED else name.suffix)


def contradiction(path: str, format: str) -> str | None:
    """What is wrong with reading a file of this name in a format of text; None if nothing is."""
    named = table_format(path)
    return None if named in (None, format) else f"is named as {named}; write format: {named}, or rename it"
