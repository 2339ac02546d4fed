"""Which column of a table is the text, and what of it is a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from zfscale.data.notes import Notes
from zfscale.errors import DataError

TEXT, NULL = "text", "null"  # types of a column that can hold documents; any other is named as its format does
NULLS = "skipped rows of null"
EMPTY = "skipped empty documents"
SHOWN, LENGTH = 20, 80  # columns that an error lists, and characters of a name
WHITE = " \t\n\r\x0b\x0c"
Row = tuple[str, Any]  # where it is, such as "a.jsonl, line 7", and the value of its column of text


def text_column(columns: Mapping[str, str], wanted: str | None, where: str, option: str) -> str:
    """The name of the column of text: the one that is `wanted`, else `text`, else the only one that holds text.

    Args:
        columns: name -> `TEXT`, `NULL`, or what else it holds.
        wanted: what the user said, None for nothing.
        where: the file or dataset, for an error.
        option: the key of the sweep file that names the column, for an error.

    Raises:
        DataError: if there is no such column, more than one, or one that is no text.
    """
    has = names_of(f"{_short(name)} ({type})" for name, type in columns.items())
    name = wanted if wanted is not None else "text" if "text" in columns else None
    if name is None:
        found = [name for name, type in columns.items() if type == TEXT]
        if len(found) != 1:
            raise DataError(f"{where}: has no column 'text'; {option} names the one of text; columns: {has}")
        return found[0]
    if name not in columns:
        raise DataError(f"{where}: has no column {name!r}; {option} names the one of text; columns: {has}")
    if columns[name] not in (TEXT, NULL):
        raise DataError(f"{where}: column {name!r} holds {columns[name]}, not text; {_remedy(option)}; columns: {has}")
    return name


def names_of(columns: Iterable[str]) -> str:
    """Names of columns in one line: a table without a header gives its first row, whole documents maybe, for them."""
    short = [_short(name) for name in columns]
    return ", ".join(short[:SHOWN]) + (f" and {len(short) - SHOWN} more" if len(short) > SHOWN else "") or "none"


def _short(name: str) -> str:
    line = repr(name[:LENGTH]) if name != name.strip(" ") else " ".join(name[:LENGTH].split())
    return line if len(name) <= LENGTH else f"{line} ..."


def documents(rows: Iterable[Row], column: str, option: str, notes: Notes) -> Iterator[str]:
    """The texts of rows; those of null are skipped, and one that is no text is an error with its place."""
    for where, value in rows:
        if value is None:
            notes.add(NULLS, where)
        elif not isinstance(value, str):
            raise DataError(f"{where}: column {column!r} holds {kind(value)}, not text; {_remedy(option)}")
        else:
            if not value.strip(WHITE):
                notes.add(EMPTY, where)
            yield value


def kind(value: Any) -> str:
    """What a value is, for people: "a list", "a number (int)"."""
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, (int, float)):
        return f"a number ({type(value).__name__})"
    if isinstance(value, (list, tuple)):
        return "chat messages (a list)" if value and isinstance(value[0], dict) else "a list"
    return {"dict": "a mapping", "str": TEXT, "NoneType": NULL}.get(type(value).__name__, type(value).__name__)


def _remedy(option: str) -> str:
    return f"make one text of each row, or name another column with {option}"
