"""What the hub's client does not say of local Parquet files: which is damaged, and whether they name classes alike."""

from __future__ import annotations

import json
from pathlib import Path

from zfscale.data.image_formats import instead
from zfscale.errors import DataError
from zfscale.spec.directories import is_junk, shown
from zfscale.spec.splits import role


def check_parquet(root: Path) -> None:
    """All are readable, and none names the classes of a column otherwise: it would get the first one's names.

    Files of one directory are compared, and those of its splits; other directories are other configurations.
    Errors: DataError with the file.
    """
    first: dict[tuple[Path, str], tuple[Path, list[str]]] = {}
    for file in sorted(root.rglob("*")):
        if file.exists() and not file.is_file() and not file.is_dir():
            raise DataError(f"{shown(file)}: not a regular file")  # the client would wait for a named pipe for ever
        if file.suffix == ".parquet" and file.is_file() and not is_junk(file.name):
            _compare(file, first)


def _compare(file: Path, first: dict[tuple[Path, str], tuple[Path, list[str]]]) -> None:
    """The class names of a file are those of the first one like it."""
    home = file.parent.parent if role(file.parent.name) else file.parent
    for column, names in _class_names(file).items():
        other, known = first.setdefault((home, column), (file, names))
        if names != known:
            raise DataError(
                f"{shown(other)} and {shown(file)} have different classes in column {column!r}: "
                f"{_short(known)}, and {_short(names)}"
            )


def _class_names(file: Path) -> dict[str, list[str]]:
    """Column -> names, of the ClassLabel columns of a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            held, rows = opened.schema_arrow.metadata or {}, opened.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        with open(file, "rb") as raw:
            what = instead(raw.read(512)) or " ".join(str(error).split())
        raise DataError(f"{shown(file)}: not a readable Parquet file: {what}") from error
    if not rows:
        raise DataError(f"{shown(file)}: has no rows; remove the file")  # which the client fails at without its name
    try:
        features = json.loads(held.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: kind["names"] for name, kind in features.items() if kind["_type"] == "ClassLabel"}
    except (ValueError, TypeError, KeyError):
        return {}  # not written by the client


def _short(names: list[str]) -> str:
    return ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def other_columns(root: Path) -> str | None:
    """The first file whose columns are not those of the one before, once the client has failed at them."""
    import pyarrow.parquet as pq

    files = [file for file in sorted(root.rglob("*.parquet")) if not is_junk(file.name)]
    columns = [pq.read_schema(file).names for file in files]
    for i in range(1, len(files)):
        if set(columns[i]) != set(columns[i - 1]):
            first, second = (f"{shown(files[k])} ({', '.join(columns[k])})" for k in (i - 1, i))
            return f"the columns of {first} and {second} differ; its files need the same"
    return None
