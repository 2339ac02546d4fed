"""The contract of formats of text files, as tests to inherit.

Say which format, and give files of it:

    class TestMine(FormatContract):
        format = "mypkg.formats:Mine"
        good, texts, damaged = b"one|two", ["one", "two"], b"one|"
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import ClassVar

import pytest

from zfscale.data.corpora import find
from zfscale.data.corpus import Corpus
from zfscale.data.formats.base import Table
from zfscale.data.formats.catalogue import FORMATS, facts_of, reader
from zfscale.data.notes import Notes
from zfscale.errors import DataError


class FormatContract:
    """What every format keeps to."""

    format: ClassVar[str]
    good: ClassVar[bytes]  # a file, in UTF-8 if its encoding is the user's to say
    texts: ClassVar[list[str]]  # its documents
    damaged: ClassVar[bytes]  # a file that cannot be read to its end

    def corpus(self, folder: Path, **contents: bytes) -> Corpus:
        """Write files by their names, without a suffix; return the documents of them all."""
        suffix = next(iter(facts_of(self.format).suffixes), ".txt")
        folder.mkdir(exist_ok=True)
        for name, content in contents.items():
            (folder / f"{name}{suffix}").write_bytes(content)
        return find({"path": str(folder / "*"), "format": self.format})

    def read_through(self, file: str) -> None:
        """Read a file for its errors alone."""
        found = reader(self.format)
        found.check(file)
        found.read_through(file)

    def refused(self, folder: Path, content: bytes) -> str:
        """Return the error that a file `bad` makes, beside a good one: one line that begins with it."""
        with pytest.raises(DataError) as caught:
            list(self.corpus(folder, a=self.good, bad=content).documents())
        message = str(caught.value)
        assert message.startswith(f"{folder / 'bad'}.")
        assert "\n" not in message
        return message

    def test_its_reader_is_what_its_facts_say(self) -> None:
        """A table has columns, and what is no table has none; a suffix is written in small letters."""
        facts = facts_of(self.format)
        assert isinstance(reader(self.format), Table) is facts.columns
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in facts.suffixes)
        others = {suffix for name, other in FORMATS.items() if name != self.format for suffix in other.suffixes}
        assert self.format not in FORMATS or not others & set(facts.suffixes)

    def test_files_give_their_documents_each_time(self, tmp_path: Path) -> None:
        """They come in the order of the files, and again when they are read again, with nothing to be said of them."""
        corpus, notes = self.corpus(tmp_path, a=self.good, b=self.good), Notes()
        assert list(corpus.documents(notes)) == [*self.texts, *self.texts]
        assert list(corpus.documents()) == [*self.texts, *self.texts]
        assert not notes.lines()

    def test_an_empty_file_has_no_documents(self, tmp_path: Path) -> None:
        """It is counted, and hides no other."""
        corpus, notes = self.corpus(tmp_path, a=b"", b=self.good), Notes()
        assert list(corpus.documents(notes)) == self.texts
        assert notes.lines()[0].startswith("empty files: 1; the first: ")
        assert list(self.corpus(tmp_path / "alone", a=b"").documents()) == []

    def test_a_damaged_file_is_told_in_one_line(self, tmp_path: Path) -> None:
        """The line begins with the file; reading it for its errors alone finds the same."""
        message = self.refused(tmp_path, self.damaged)
        (file,) = map(str, tmp_path.glob("bad.*"))
        with pytest.raises(DataError) as caught:
            self.read_through(file)
        assert str(caught.value) == message

    def test_another_kind_of_file_is_refused_unread(self, tmp_path: Path) -> None:
        """An image among the files is found before any document is read."""
        picture = b"\x89PNG\r\n\x1a\n" + bytes(99)
        self.refused(tmp_path, picture)
        with pytest.raises(DataError):
            self.corpus(tmp_path, bad=picture)

    def test_a_compressed_file_is_its_content_or_told(self, tmp_path: Path) -> None:
        """What holds text in an encoding is unpacked; any other format may refuse it."""
        packed = gzip.compress(self.good, mtime=0)
        if facts_of(self.format).encoding:
            assert list(self.corpus(tmp_path, a=packed).documents()) == self.texts
        else:
            self.refused(tmp_path, packed)

    def test_the_encoding_is_that_of_the_text(self, tmp_path: Path) -> None:
        """A byte order mark says what it is."""
        if facts_of(self.format).encoding:
            wide = self.good.decode().encode("utf-16")
            assert list(self.corpus(tmp_path, a=wide).documents()) == self.texts
