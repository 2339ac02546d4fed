"""Plain text: a file is a document, a long one several."""

from __future__ import annotations

from collections.abc import Iterator

from zfscale.data.formats.base import Reader
from zfscale.data.notes import Notes
from zfscale.data.text_files import text_file


class Text(Reader):
    """The reader of plain text."""

    def documents(self, file: str, column: str, notes: Notes) -> Iterator[str]:
        r"""The text in pieces; line ends are `\n`."""
        return text_file(file, self.encoding, notes)
