"""A Parquet file with the rows of many trials, which says what it holds and where it is damaged.

Each of its row groups has a SHA-256 of its own, and the footer has one as well: so damage to some bytes costs the
trials of one row group. Checksums, and the number of rows of each trial, are in the footer's key-value metadata.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from zfscale.results.reading import CHANGED, Damaged, types
from zfscale.results.seal import BLANK, KEY, digest, fill, intact

ABOUT = b"zfscale.pack"
MAGIC = 4  # bytes before the first row group
SIZE = 160 * 2**20  # bytes of a pack in memory: about 64 MB in its file

Part: TypeAlias = tuple[pa.Table, Mapping[str, float]]  # rows, and when their trials ended, where it is known


@dataclass(frozen=True)
class Group:
    """A row group: its bytes, their checksum, and how many rows each trial has in it."""

    start: int
    end: int
    sha256: str
    trials: Mapping[str, int]


@dataclass(frozen=True)
class Pack:
    """A pack that was read, and whose footer is whole.

    Args:
        data: The file.
        groups: Its row groups.
        ended: Trial id -> when the trial ended, in seconds since 1970, in packs of `trials`.
    """

    data: bytes
    groups: list[Group]
    ended: Mapping[str, float]

    @classmethod
    def of(cls, data: bytes) -> Pack:
        """Read a pack. Errors: Damaged, if nothing in it is to be trusted."""
        footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        if footer < MAGIC or intact(data[footer:]) is not True:
            raise Damaged(CHANGED)
        about = json.loads(pq.ParquetFile(pa.BufferReader(data)).metadata.metadata[ABOUT])
        starts = [MAGIC, *(end for end, _, _ in about["groups"])]
        groups = [Group(start, *group) for start, group in zip(starts, about["groups"], strict=False)]
        return cls(data, groups, about["ended"])

    @cached_property
    def whole(self) -> list[bool]:
        """Of each row group, whether it is as it was written."""
        return [digest(self.data[group.start : group.end]) == group.sha256 for group in self.groups]

    def read(self, numbers: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        """Row groups by their numbers; a column that the file has not is left out."""
        file = pq.ParquetFile(pa.BufferReader(self.data))
        known = types(file.schema_arrow)
        wanted = None if columns is None else [name for name in columns if name in known]
        return file.read_row_groups(list(numbers), wanted, use_threads=False)


def packed(schema: pa.Schema, parts: Sequence[Part]) -> bytes:
    """A pack of these row groups, of some rows each, whose columns go with the schema's."""
    text = [field.name for field in schema if pa.types.is_string(field.type)]
    how = {"compression": "zstd", "store_schema": False, "use_dictionary": text, "write_statistics": ["trial_id"]}
    target, groups, times = io.BytesIO(), list[list[Any]](), dict[str, float]()
    with pq.ParquetWriter(pa.PythonFile(target, "w"), schema, write_page_checksum=True, **how) as writer:
        for rows, ended in parts:
            start = max(target.tell(), MAGIC)
            whole = pa.concat_tables([schema.empty_table(), rows], promote_options="permissive").combine_chunks()
            writer.write_table(whole, row_group_size=len(rows))
            counted = {each["values"]: each["counts"] for each in rows["trial_id"].value_counts().to_pylist()}
            with target.getbuffer() as view:
                groups.append([target.tell(), digest(view[start : target.tell()]), counted])
            times |= ended
        about = json.dumps({"groups": groups, "ended": times})
        writer.add_key_value_metadata({KEY.decode(): BLANK.decode(), ABOUT.decode(): about})
    data, footer = target.getvalue(), groups[-1][0] if groups else MAGIC
    return data[:footer] + fill(data[footer:])


def piled(parts: Iterable[Part], most: int) -> Iterator[bytes]:
    """Packs of all rows, in row groups of `most` rows about; those whose columns do not go together apart."""
    piles: list[_Pile] = []
    for part in parts:
        pile = next((pile for pile in piles if pile.takes(part)), None)
        if pile is None:
            piles.append(pile := _Pile(part))
        pile.add(part, most)
        if pile.size > SIZE:
            yield packed(pile.schema, pile.groups)
            piles.remove(pile)
    for pile in piles:
        pile.merge()
        yield packed(pile.schema, pile.groups)


class _Pile:
    """Rows whose columns go together, in no pack yet."""

    def __init__(self, part: Part) -> None:
        self.schema, self.groups, self.size = part[0].schema, list[Part](), 0
        self._waiting, self._rows = list[Part](), 0

    def takes(self, part: Part) -> bool:
        """Whether the columns of a part go with those of the pile."""
        if not part[0].schema.equals(self.schema):
            try:
                self.schema = pa.unify_schemas([self.schema, part[0].schema], promote_options="permissive")
            except pa.ArrowException:
                return False
        return True

    def add(self, part: Part, most: int) -> None:
        """One more."""
        self._waiting.append(part)
        self._rows += len(part[0])
        if self._rows >= most or len(self._waiting) >= most:
            self.merge()

    def merge(self) -> None:
        """Make a row group of what waits."""
        tables, times = [rows for rows, _ in self._waiting if len(rows)], dict[str, float]()
        for _, ended in self._waiting:
            times |= ended
        if tables:
            rows = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
            self.groups.append((rows, times))
            self.size += rows.nbytes
        self._waiting, self._rows = [], 0
