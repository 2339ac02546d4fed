"""The lines of a file of text, for the formats that are made of lines."""

from __future__ import annotations

import os
from collections.abc import Iterator

from zfscale.data.compression import unpacked
from zfscale.data.decode import decoded
from zfscale.data.notes import Notes
from zfscale.errors import DataError

LONGEST = 1 << 28  # characters of a line, or of a field


def lines(file: str, encoding: str, notes: Notes) -> Iterator[str]:
    r"""Lines with their ends, which are `\n` alone: JSON and CSV may hold all others within a value."""
    with unpacked(file) as stream:
        rest: list[str] = []
        number = length = 0
        for part in decoded(stream, file, os.path.getsize(file), encoding, notes):
            first, *more = part.split("\n")
            rest.append(first)
            length += len(first)
            for line in more:
                yield "".join([*rest, "\n"])
                rest, length, number = [line], len(line), number + 1
            if length > LONGEST:
                raise DataError(f"{file}, line {number + 1}: is longer than {LONGEST:,} characters; is it JSON lines?")
        if last := "".join(rest):
            yield last
