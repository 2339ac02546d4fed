"""Bytes to text: nothing is guessed, and what is no text in the encoding is refused by its place in the file."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

from zfscale.data.notes import Notes
from zfscale.errors import DataError

CHUNK = 1 << 16  # bytes that are decoded at once
BROKEN = 10_000  # a file may have one place that cannot be decoded in so many bytes; it is read as U+FFFD
MARK = "\ufffd"
REPLACED = "undecodable places, read as U+FFFD"
BOMS = (  # that of UTF-32 LE begins with that of UTF-16 LE
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
PLAIN = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}  # without a byte order mark


def decoded(stream: Any, file: str, size: int, encoding: str, notes: Notes) -> Iterator[str]:
    """The text of a binary stream in parts; a byte order mark says what the encoding is, and is no text.

    `size` is what `file` has on disk, in bytes, and bounds with `BROKEN` what is replaced.
    Errors: DataError with file and byte for a NUL, or for more places that cannot be decoded.
    """
    decoder = Decoder(file, size, encoding)
    chunk = stream.read(CHUNK)
    while chunk:
        yield decoder.decode(chunk)
        chunk = stream.read(CHUNK)
    yield decoder.decode(b"", final=True)
    if decoder.broken:
        notes.add(REPLACED, f"{file}, {decoder.first}", decoder.broken)


class Decoder:
    """An incremental decoder that knows where in the file it is, and counts what it replaces."""

    def __init__(self, file: str, size: int, encoding: str) -> None:
        name = codecs.lookup(encoding).name
        self.file, self.size, self.encoding = file, size, PLAIN.get(name, name)
        self.broken, self.first = 0, ""
        self._offset = 0  # of the next chunk in the file
        self._inner: codecs.IncrementalDecoder | None = None

    def decode(self, chunk: bytes, final: bool = False) -> str:
        """The text of the next bytes; `final`: there are no more."""
        if self._inner is None:
            bom, self.encoding = next((pair for pair in BOMS if chunk.startswith(pair[0])), (b"", self.encoding))
            self._inner = codecs.getincrementaldecoder(self.encoding)("replace")
            self._offset, chunk = len(bom), chunk[len(bom) :]
        pending = self._inner.getstate()[0]  # the start of a character that the last chunk ended in
        try:
            text = self._inner.decode(chunk, final)
        except UnicodeError as error:  # of an encoding that cannot replace
            raise DataError(f"{self.file}: cannot be decoded as {self.encoding}: {error}") from error
        if "\0" in text or MARK in text:
            self._look(text, pending + chunk, self._offset - len(pending))
        self._offset += len(chunk)
        return text

    def _look(self, text: str, data: bytes, place: int) -> None:
        """Refuse or count what is wrong in the text of `data`, which begins at byte `place`."""
        if "\0" in text:
            at = place + len(_encoded(text[: text.index("\0")], self.encoding))
            hint = f"; is it UTF-16 (encoding: {_wide(data)})?" if self.encoding == "utf-8" and _wide(data) else ""
            raise DataError(f"{self.file}: byte {at} is NUL, which no text has{hint}")
        broken = text.count(MARK) - data.count(_encoded(MARK, self.encoding) or data)
        if broken <= 0:
            return
        if not self.broken:
            at = _first_broken(data, self.encoding)
            self.first = f"byte {place + at} (0x{data[at]:02x})"
        self.broken += broken
        if self.broken > max(self.size, self._offset) / BROKEN:
            raise DataError(
                f"{self.file}: {self.first} is no {self.encoding}; say how the file is encoded, for example "
                "encoding: cp1251, or convert it to UTF-8"
            )


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeError:
        return b""


def _first_broken(data: bytes, encoding: str) -> int:
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _wide(data: bytes) -> str | None:
    """The UTF-16 that bytes look like, by which half of them is mostly NUL; None if by neither."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    if max(even, odd) * 4 < len(data):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"
