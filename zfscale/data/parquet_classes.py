"""Whether the Parquet files of a local dataset agree on the names of their classes, which the client does not check."""

from __future__ import annotations

import json
from pathlib import Path

from zfscale.errors import DataError
from zfscale.spec.directories import shown
from zfscale.spec.splits import role


def check_parquet_classes(root: Path) -> None:
    """Files that name the classes of a column differently would get the names of the first. Errors: DataError.

    Files of one directory are compared, and those of its splits; other directories are other configurations.
    """
    first: dict[tuple[Path, str], tuple[Path, list[str]]] = {}
    for file in sorted(root.rglob("*.parquet")):
        home = file.parent.parent if role(file.parent.name) else file.parent
        for column, names in _class_names(file).items():
            other, known = first.setdefault((home, column), (file, names))
            if names != known:
                raise DataError(
                    f"{shown(other)} and {shown(file)} have different classes in column {column!r}: "
                    f"{_short(known)}, and {_short(names)}"
                )


def _class_names(file: Path) -> dict[str, list[str]]:
    """Column -> names, of the ClassLabel columns of a file; nothing of one that is no Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        held = pq.read_schema(file).metadata or {}
        features = json.loads(held.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        return {name: kind["names"] for name, kind in features.items() if kind.get("_type") == "ClassLabel"}
    except (OSError, pa.ArrowException, ValueError, AttributeError, KeyError):
        return {}  # the client will say what is wrong with it


def _short(names: list[str]) -> str:
    return ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
