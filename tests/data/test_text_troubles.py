"""What goes wrong with files of text, for each format: the right documents, or one line with file and place."""

from __future__ import annotations

import builtins
import gzip
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data.poems import Counting, documents
from tests.data.text_writing import TABLES, notes, put, read, table
from tests.troubles import TROUBLES, No, assert_covers, assert_told
from zfscale.data.text import load_domain
from zfscale.errors import DataError

Case = Callable[[Path, pytest.MonkeyPatch], None]
ROWS: list[dict[str, Any]] = [{"id": i, "text": f"document {i} of a table, naïve"} for i in range(5)]
TEXTS = [row["text"] for row in ROWS]
PICTURE = No("text has none of it")


def told(*names: str, **source: Any) -> None:
    with pytest.raises(DataError) as caught:
        read(**source)
    assert_told(caught.value, *names)


# what all formats have in common: `good` is the content of a file, `texts` what it reads as


def empty(format: str, good: bytes, texts: list[str], tmp: Path, _: Any) -> None:
    put(tmp / f"a.{format}", b"")
    put(tmp / f"b.{format}", good)
    assert read(tmp / "*", format) == texts
    assert notes({"path": str(tmp / "*"), "format": format}) == [f"empty files: 1; the first: {tmp}/a.{format}"]


def hidden(format: str, good: bytes, texts: list[str], tmp: Path, _: Any) -> None:
    put(tmp / f"a.{format}", good)
    put(tmp / f".b.{format}", good)
    put(tmp / ".git" / f"c.{format}", good)
    source = {"path": str(tmp / "**" / "*"), "format": format}
    assert read(**source) == texts
    assert notes(source) == ["2 hidden files or directories beside the others are not read"]


def duplicate(format: str, good: bytes, texts: list[str], tmp: Path, patch: pytest.MonkeyPatch) -> None:
    for name in "abcdefgh":
        put(tmp / "many" / f"{name}.{format}", good)
    with patch.context() as logged:
        lines: list[str] = []
        logged.setattr("zfscale.data.text.log.warning", lambda line, *values: lines.append(line % values))
        source = {"path": str(tmp / "many" / "*"), "format": format}
        try:
            domain = load_domain("d", source, Counting(), 8, None, 10**6, tmp / "cache")
        except DataError as error:  # none of so few is held out
            assert_told(error, "none of them, by the hash of its content")
        else:
            assert not set(documents(domain.train)[:-1]) & set(documents(domain.held_out)[:-1])
    count = len(texts)
    assert f"domain d: {7 * count} of {8 * count} documents repeat an earlier one" in lines


def link(format: str, good: bytes, texts: list[str], tmp: Path, _: Any) -> None:
    put(tmp / "sub" / f"a.{format}", good)
    (tmp / "sub" / "up").symlink_to("..")
    source = {"path": str(tmp / "**" / f"*.{format}"), "format": format}
    assert read(**source) == texts
    assert "files are reached again by links, and read once" in notes(source)[0]
    (tmp / f"b.{format}").symlink_to("nowhere")
    told(f"b.{format}: is a link to nothing (nowhere)", **source)


def unreadable(format: str, good: bytes, _texts: Any, tmp: Path, patch: pytest.MonkeyPatch) -> None:
    put(tmp / f"a.{format}", good)
    os.mkfifo(tmp / f"b.{format}")
    told(f"b.{format}: is a named pipe, not a file", path=tmp / "*", format=format)
    (tmp / f"b.{format}").unlink()
    real = builtins.open

    def forbidden(file: Any, *args: Any, **options: Any) -> Any:
        if str(file).endswith(f"a.{format}"):
            raise PermissionError(13, "Permission denied", file)
        return real(file, *args, **options)

    patch.setattr(builtins, "open", forbidden)
    told(f"a.{format}: cannot be read: Permission denied", path=tmp / "*", format=format)


def common(format: str, good: bytes, texts: list[str]) -> dict[str, Case | No]:
    cases = (empty, hidden, duplicate, link, unreadable)
    found: dict[str, Case | No] = {case.__name__: partial(case, format, good, texts) for case in cases}
    return found | {
        "other class set": PICTURE,
        "other bit depth": PICTURE,
        "rotated": PICTURE,
    }


# plain text


def nul_bytes(tmp: Path, _: Any) -> None:
    told("a.txt: byte 3 is NUL", path=put(tmp / "a.txt", b"abc\0def"))
    file = put(tmp / "a.txt", b"text\n" * 10_000 + bytes(2000))
    told("a.txt: the last bytes, from", "are NUL", path=file)
    assert read(put(tmp / "a.txt", "wide".encode("utf-16"))) == ["wide"]


OTHER_FILES = {
    b'{"text": "a"}\n{"text": "b"}\n': "is JSON lines; write format: jsonl",
    b'{"text": "' + b"long " * 9999 + b'"}': "is JSON lines; write format: jsonl",
    b'[{"text": "a"},\n {"text": "b"}]': "is a JSON array; write one object a line",
    b"PK\x03\x04 archive": "is a ZIP archive; unpack it",
    b"%PDF-1.7 all ASCII": "is a PDF; extract its text",
    b"\x89PNG\r\n\x1a\n": "is a PNG image",
    b"SQLite format 3\0": "is an SQLite database",
    b"version https://git-lfs.github.com/spec/v1\n": "is a Git LFS pointer, not the file itself; run git lfs pull",
    b"\x40\0\0\0\0\0\0\0" + b'{"weight": {}}': "is a safetensors model",
    gzip.compress(gzip.compress(b"text")): "is compressed twice, by gzip within",
    table("parquet", ROWS): "is Parquet; write format: parquet",
}


def other_files(tmp: Path, _: Any) -> None:
    for content, says in OTHER_FILES.items():
        told(f"a.txt: {says}", path=put(tmp / "a.txt", content))
    for name in ("a.jsonl", "a.ndjson.gz", "a.CSV", "a.tsv", "a.parquet"):
        told(f"{name}: is named as", "write format: ", path=put(tmp / name, "text"))
    for text in ('{\n "a": 1\n}\n', "[link] is Markdown\n", "ORC is a word\n", "BZhou too\n", '["quoted"] said\n'):
        assert read(put(tmp / "b.txt", text)) == [text]


def text_of_other_encodings(tmp: Path, _: Any) -> None:
    text = "Привет, naïve\n" * 20
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):  # a byte order mark says what it is
        assert read(put(tmp / "a.txt", text.encode(encoding))) == [text]
    file = put(tmp / "a.txt", b"abc " + "Привет\n".encode("cp1251") * 20)
    told("a.txt: byte 4 (0xcf) is no utf-8", "encoding: cp1251", path=file)
    assert read(file, encoding="cp1251") == ["abc " + "Привет\n" * 20]
    told("a.txt: byte 13 is NUL", "encoding: utf-16-le", path=put(file, text.encode("utf-16-le")))
    assert read(file, encoding="utf-16-le") == [text]
    told("a.txt: is UTF-8, not cp1251", path=put(file, text), encoding="cp1251")
    assert read(put(file, text), encoding="utf-8-sig") == [text]
    few = b"x" * 30_000 + b"\xe9" + b"y" * 30_000  # as a corpus of millions has them
    assert "".join(read(put(file, few))) == few.decode("utf-8", "replace")
    assert notes({"path": str(file)}) == [
        f"undecodable places, read as U+FFFD: 1; the first: {file}, byte 30000 (0xe9)"
    ]
    told("byte 30000", path=put(file, few.replace(b"\xe9", b"\xe9 \xe9 \xe9 \xe9 \xe9 \xe9 \xe9 ")))
    own = "\ufffd" * 100  # that the text itself has them is nobody's mistake
    assert read(put(file, own)) == [own]
    assert not notes({"path": str(file)})


def cut_text(tmp: Path, _: Any) -> None:
    told("a.txt: cannot be read: EOFError", path=put(tmp / "a.txt", gzip.compress(b"text" * 99)[:-9]))
    told("a.txt.gz: is named as a compressed file and is none", path=put(tmp / "a.txt.gz", b"text"))
    told("b.txt: byte 4 (0xc3) is no utf-8", path=put(tmp / "b.txt", "caf é".encode()[:-1]))


def other_format_among_texts(tmp: Path, _: Any) -> None:
    for i in range(20):
        put(tmp / f"{i:02}.txt", "text" if i < 8 else b"PK\x03\x04")
    with pytest.raises(DataError) as caught:
        read(tmp / "*")
    assert_told(caught.value, "12 of 20 files cannot be used: ", "08.txt: is a ZIP archive", "17.txt", "and 2 more")
    assert "18.txt" not in str(caught.value)


TEXT: dict[str, Case | No] = {
    "null": nul_bytes,
    "wrong type": other_files,
    "wrong encoding": text_of_other_encodings,
    "cut": cut_text,
    "other schema": other_format_among_texts,
    **common("text", b"one\ntwo\n", ["one\ntwo\n"]),
}


# tables


def nulls(format: str, tmp: Path, _: Any) -> None:
    file = put(tmp / f"a.{format}", table(format, [*ROWS, {"id": 5, "text": None}, {"id": 6, "text": " "}]))
    assert read(file, format)[:5] == TEXTS
    place = {"jsonl": "line 6", "csv": "line 7", "parquet": "row 5"}[format]
    kind = "skipped empty documents: 2" if format == "csv" else "skipped rows of null: 1"
    assert notes({"path": str(file), "format": format})[0] == f"{kind}; the first: {file}, {place}"


NO_TEXTS = ((1, "a number"), (["a"], "a list"), ([{"role": "user"}], "chat messages"), ({"a": "b"}, "a mapping"))


def other_types(format: str, tmp: Path, _: Any) -> None:
    remedy = "not text; make one text of each row, or name another column with column:"
    file = tmp / f"a.{format}"
    for value, kind in NO_TEXTS:
        if format == "jsonl":  # where rows are free to differ
            put(file, table(format, [*ROWS, {"id": 5, "text": value}]))
            told(f"a.jsonl, line 6: column 'text' holds {kind}", remedy, path=file, format=format)
        put(file, table(format, [{"text": value}]))
        told(f"a.{format}: column 'text' holds ", remedy, path=file, format=format)
        put(file, table(format, [{"a": value, "b": "c"}]))
        told(f"a.{format}: column 'a' holds ", remedy, path=file, format=format, column="a")
        assert read(file, format) == ["c"]  # the only column of text


def table_of_other_encodings(format: str, tmp: Path, _: Any) -> None:
    content = table(format, ROWS)
    file = put(tmp / f"a.{format}", content.decode().encode("latin-1"))
    told(f"a.{format}: byte {content.index(b'na') + 2} (0xef) is no utf-8", path=file, format=format)
    assert read(file, format, encoding="latin-1") == TEXTS
    assert read(put(file, content.decode().encode("utf-16")), format) == TEXTS


def parquet_of_another_encoding(tmp: Path, _: Any) -> None:
    latin = pa.array([b"plain", b"na\xefve"]).cast(pa.binary()).view(pa.string())
    parquet.write_table(pa.table({"text": latin}), tmp / "a.parquet")
    told("a.parquet, row 1: column 'text' is no UTF-8: byte 2 of the text", path=tmp / "a.parquet", format="parquet")


def cut_table(format: str, tmp: Path, _: Any) -> None:
    file = put(tmp / f"a.{format}", table(format, ROWS)[:-5])
    if format == "csv":
        file.write_text('id,text\n1,"never\nclosed')
    place = {"jsonl": ", line 5: is no JSON", "csv": ", line 3: is no CSV", "parquet": ": cannot be read as Parquet"}
    told(f"a.{format}{place[format]}", path=file, format=format)
    if format != "parquet":
        told(f"a.{format}: cannot be read: EOF", path=put(file, gzip.compress(table(format, ROWS))[:-9]), format=format)
        assert read(put(file, gzip.compress(table(format, ROWS))), format) == TEXTS


def other_columns(format: str, tmp: Path, _: Any) -> None:
    put(tmp / f"a.{format}", table(format, ROWS))
    put(tmp / f"b.{format}", table(format, [{"text": "right", "more": 1}]))
    glob = tmp / f"*.{format}"
    if format == "jsonl":  # where rows are free to differ
        assert read(glob, format) == [*TEXTS, "right"]
    else:
        told(f"b.{format}: has other columns (text, more) than ", f"a.{format} (id, text)", path=glob, format=format)
    assert read(glob, format, column="text") == [*TEXTS, "right"]
    if format == "csv":
        told("c.csv: has no column 'text'; column: names", path=put(tmp / "c.csv", "plain\ntext\n"), format=format)
        (tmp / "c.csv").unlink()
    put(tmp / f"b.{format}", table(format, [{"body": "x", "title": "y"}]))
    told(f"b.{format}: has no column 'text'", "columns: body", path=glob, format=format)


def tables(format: str) -> dict[str, Case | No]:
    cases = {
        "null": nulls,
        "wrong type": other_types,
        "wrong encoding": table_of_other_encodings,
        "cut": cut_table,
        "other schema": other_columns,
    }
    found: dict[str, Case | No] = {name: partial(case, format) for name, case in cases.items()}
    return found | common(format, table(format, ROWS), TEXTS)


LOADERS: dict[str, dict[str, Case | No]] = {
    "text": TEXT,
    "jsonl": tables("jsonl"),
    "csv": tables("csv") | {"wrong type": No("all that a CSV holds is text")},
    "parquet": tables("parquet") | {"wrong encoding": parquet_of_another_encoding},
}


@pytest.mark.parametrize("loader", LOADERS)
def test_every_trouble_has_a_case(loader):
    assert_covers(LOADERS[loader])


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("loader", LOADERS)
def test_trouble(loader, trouble, tmp_path, monkeypatch):
    case = LOADERS[loader][trouble]
    if isinstance(case, No):
        pytest.skip(case.reason)
    case(tmp_path, monkeypatch)


def test_equal_documents_are_on_one_side_in_every_format_and_domain(tmp_path):
    """What one domain is evaluated on, no domain trains on."""
    texts = [f"document {i}, which several domains have" for i in range(60)]
    sides: dict[bool, set[bytes]] = {True: set(), False: set()}
    for format in ("text", *TABLES):
        for part in range(3):
            rows = [{"text": text} for text in texts[part * 15 : part * 15 + 30]]  # with overlaps
            for i, row in enumerate(rows if format == "text" else ()):
                put(tmp_path / format / f"{part}-{i}.txt", row["text"])
            if format != "text":
                put(tmp_path / format / f"{part}.{format}", table(format, rows))
        source = {"path": str(tmp_path / format / "*"), "format": format}
        domain = load_domain(format, source, Counting(), 8, None, 10**6, tmp_path / "cache")
        for held, blocks in ((False, domain.train), (True, domain.held_out)):
            sides[held] |= set(documents(blocks)[:-1])
    assert len(sides[False]) > 40
    assert len(sides[True]) > 2
    assert not sides[False] & sides[True]


assert set(TABLES) < set(LOADERS)


def test_spaces_around_a_column_are_seen(tmp_path):
    put(tmp_path / "a.csv", "text , label\na,b\n")
    with pytest.raises(DataError) as error:
        read(tmp_path / "a.csv", "csv")
    assert_told(error.value, "a.csv: has no column 'text'", "columns: 'text ' (text), ' label' (text)")


def test_a_table_without_a_header_is_told_in_one_short_line(tmp_path):
    put(tmp_path / "a.csv", '"' + "a line\n" * 999 + '",1\nb,2\n')
    with pytest.raises(DataError) as error:
        read(tmp_path / "a.csv", "csv")
    assert_told(error.value, "a.csv: has no column 'text'", "columns: a line a line", " ...")
    assert len(str(error.value)) < 500
