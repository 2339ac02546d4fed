"""Files of plain text as documents: a long file is several, so that it never is whole in memory."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator

from zfscale.data.compression import unpacked
from zfscale.data.decode import decoded
from zfscale.data.notes import Notes

PIECE = 1 << 13  # characters of a document, at most


def text_file(file: str, encoding: str, notes: Notes) -> Iterator[str]:
    r"""The text of a file, a long one in pieces; a compressed one is unpacked, line ends are `\n`."""
    with unpacked(file) as stream:
        yield from pieces(_newlines(decoded(stream, file, os.path.getsize(file), encoding, notes)))


def pieces(parts: Iterable[str], size: int = PIECE) -> Iterator[str]:
    """Texts of at most `size` characters that joined are `parts` joined; how it was parted does not matter."""
    rest = ""
    for part in parts:
        rest += part
        start = 0
        while len(rest) - start > size:
            end = start + _cut(rest[start : start + size], size)
            yield rest[start:end]
            start = end
        rest = rest[start:]
    if rest:
        yield rest


def _cut(text: str, size: int) -> int:
    """Where a piece ends: after a blank line in the second half of `size`, else after any line, else at `size`."""
    for mark in ("\n\n", "\n"):
        at = text.rfind(mark, size // 2, size)
        if at >= 0:
            return at + len(mark)
    return size


def _newlines(parts: Iterable[str]) -> Iterator[str]:
    r"""Line ends of any system become `\n`, as in Python's text files."""
    ends = io.IncrementalNewlineDecoder(None, translate=True)
    for part in parts:
        yield ends.decode(part)
    yield ends.decode("", final=True)
