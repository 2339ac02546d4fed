"""The formats of text files by name, and what a file's name says of its format.

Nothing here needs torch or pyarrow: a reader is a path, "package.module:Class", that is imported when files are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from zfscale import registry
from zfscale.errors import SpecError

if TYPE_CHECKING:
    from zfscale.data.formats.base import Reader

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zstd", ".lz4")


@dataclass(frozen=True)
class Format:
    """The facts of a format.

    Args:
        path: Its reader, a zfscale.data.formats.base.Reader.
        about: What its files are, in a few words, for editors.
        suffixes: Those that no file of another format has, below those of compressed files; in small letters.
        signature: The name of the format and the bytes that begin its files, if no text begins so.
        columns: Whether it is a table, one column of which is the text; its reader is a Table.
        typed: Whether a table says which of its columns are text: if not, none is chosen but `text`.
        free_rows: Whether each row may have other columns: if not, all files have those of the first one.
        encoding: Whether the encoding of its text is the user's to say.
    """

    path: str
    about: str
    suffixes: tuple[str, ...] = ()
    signature: tuple[str, bytes] | None = None
    columns: bool = False
    typed: bool = True
    free_rows: bool = False
    encoding: bool = True

    @property
    def untyped(self) -> bool:
        """Whether it is a table that does not say which of its columns are text."""
        return self.columns and not self.typed


ROWS = "a document a row"
FORMATS: dict[str, Format] = {
    "text": Format("zfscale.data.formats.text:Text", "plain or compressed files"),
    "jsonl": Format("zfscale.data.formats.jsonl:JsonLines", ROWS, (".jsonl", ".ndjson"), columns=True, free_rows=True),
    "parquet": Format(
        "zfscale.data.formats.parquet:Parquet",
        ROWS,
        (".parquet",),
        signature=("Parquet", b"PAR1"),
        columns=True,
        encoding=False,
    ),
    "csv": Format("zfscale.data.formats.csv:Csv", ROWS, (".csv", ".tsv"), columns=True, typed=False),
}


def facts_of(name: str) -> Format:
    """The facts of a format by name, or of a user's own at "package.module:Class": its attribute `facts`."""
    if name in FORMATS:
        return FORMATS[name]
    facts = getattr(registry.load_user(name), "facts", None)
    if not isinstance(facts, Format):
        raise SpecError(f"{name!r} has no `facts`, a zfscale.data.formats.catalogue.Format")
    return facts


def reader(name: str, encoding: str = "utf-8") -> Reader:
    """What reads files of a format, by its name or the path of a user's own."""
    facts = facts_of(name)
    return registry.load_user(facts.path)(name, facts, encoding)


def claimed(path: str) -> str | None:
    """The format that a file's name claims; None if it claims none.

    >>> claimed("web/part-0.JSONL.gz"), claimed("book.txt.gz")
    ('jsonl', None)
    """
    suffix = _suffix(path)
    return next((name for name, facts in FORMATS.items() if suffix in facts.suffixes), None)


def contradiction(path: str, name: str) -> str | None:
    """What is wrong with reading a file of this name in a format; None if nothing is."""
    claim = claimed(path)
    if claim in (None, name) or _suffix(path) in facts_of(name).suffixes:
        return None
    return f"is named as {claim}; write format: {claim}, or rename it"


def which(fact: str) -> str:
    """The names of the formats that a fact is true of, in one line.

    >>> which("columns")
    'jsonl, parquet, csv'
    """
    return ", ".join(name for name, facts in FORMATS.items() if getattr(facts, fact))


def listing() -> str:
    """What the files of each format are, in one line."""
    alike: dict[str, list[str]] = {}
    for name, facts in FORMATS.items():
        alike.setdefault(facts.about, []).append(name)
    return "; ".join(f"{', '.join(names)}: {about}" for about, names in alike.items())


def _suffix(path: str) -> str:
    name = PurePath(path.lower())
    return PurePath(name.stem).suffix if name.suffix in COMPRESSED else name.suffix
