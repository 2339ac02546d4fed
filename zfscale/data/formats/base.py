"""What the reader of a format of text files must do, and what is the same for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator

from zfscale.data import sniff
from zfscale.data.formats.catalogue import Format, contradiction
from zfscale.data.notes import Notes
from zfscale.data.text_columns import Row, documents
from zfscale.errors import DataError

OPTION = "column:"  # of a sweep file, which names the column of text


class Reader(ABC):
    """The reader of a format, which turns a file into documents.

    It must give the same documents for the same bytes, whatever the file is called, in memory that does not grow with
    the file. Whatever is wrong with a file is a DataError of one line that begins with the file and, as far as it is
    known, the place in it: "a.jsonl, line 7: is no JSON". An empty file has no documents and is no error. Compressed
    files come as their content through `zfscale.data.formats.lines`, or `zfscale.data.compression.unpacked`.

    Args:
        name: The format as the user wrote it.
        facts: Those of the format.
        encoding: That of the text in the files, where it is the user's to say.
    """

    json_lines = False  # whether lines of JSON are what it reads; as any other text, they are a mistake

    def __init__(self, name: str, facts: Format, encoding: str) -> None:
        self.name, self.facts, self.encoding = name, facts, encoding

    @abstractmethod
    def documents(self, file: str, column: str, notes: Notes) -> Iterator[str]:
        """The documents of one file; what is skipped or repaired is counted in `notes`, by its place.

        `column` is the one of text, and nothing to a format without columns.
        """

    def look(self, file: str) -> None:
        """Refuse a file whose first or last bytes show that it is of another format, with what it is.

        As it stands, this is for files of text in an encoding.
        """
        sniff.look(file, self.encoding, json_lines=self.json_lines)

    def read_through(self, file: str) -> None:
        """Read a file for its errors only."""
        deque(self.documents(file, "", Notes()), maxlen=0)

    def check(self, file: str) -> None:
        """Refuse a file that its name, or a look at it, shows to be of another format."""
        if wrong := contradiction(file, self.name):
            raise DataError(f"{file}: {wrong}")
        self.look(file)


class Table(Reader):
    """The reader of a format with columns, a document a row."""

    @abstractmethod
    def columns(self, file: str) -> dict[str, str] | None:
        """Name -> type of the columns, as `text_column` takes them; None for a file without a row.

        Where rows are free, these are the columns of the first one.
        """

    @abstractmethod
    def rows(self, file: str, column: str, notes: Notes) -> Iterator[Row]:
        """Each row's place and value of `column`; DataError with file and row where the table is damaged."""

    def documents(self, file: str, column: str, notes: Notes) -> Iterator[str]:
        """The texts of the rows; those of null are skipped."""
        return documents(self.rows(file, column, notes), column, OPTION, notes)

    def read_through(self, file: str) -> None:
        """Read every column for its errors only."""
        for column in self.columns(file) or ():
            deque(self.rows(file, column, Notes()), maxlen=0)
