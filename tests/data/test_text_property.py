"""Random small files with random faults: either what a plain reader makes of them, or an error for the user."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.data.text_writing import TABLES, put, table
from tests.troubles import assert_told
from zfscale.data.corpora import find
from zfscale.errors import ZfscaleError

SUFFIXES = {"text": ".txt", "jsonl": ".jsonl", "csv": ".csv", "parquet": ".parquet"}
PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1251", "latin-1", "utf-16-le", "cp932")
FAULTS = (*["none"] * 8, "cut", "zeros", "garbage", "packed", "packed twice", "suffix", "encoding", "doubled", "empty")

texts = st.text(st.sampled_from("ab é漢Щ🙂\"',;{}[]\\\n\r\t\u2028\x85\ufffd"), max_size=30)
others = st.one_of(st.none(), st.none(), st.integers(0, 9), st.lists(texts, max_size=2), st.just({"role": "x"}))
values = st.one_of(*[texts] * 12, others)
names = st.sampled_from([*["text"] * 9, "body"])


@st.composite
def corpora(draw: Any) -> tuple[str, dict[str, bytes]]:
    """The format that is asked for, and one or two files: name -> content."""
    format = draw(st.sampled_from(list(SUFFIXES)))
    return format, dict(_file(draw, format, number) for number in range(draw(st.integers(1, 2))))


def _file(draw: Any, format: str, number: int) -> tuple[str, bytes]:
    kind = draw(st.sampled_from([format] * 9 + list(SUFFIXES)))
    content = _content(draw, kind)
    name = f"file{number}" + SUFFIXES[draw(st.sampled_from([kind] * 9 + ["text"]))]
    fault = draw(st.sampled_from(FAULTS))
    at = draw(st.integers(0, max(0, len(content) - 1)))
    if fault == "cut":
        content = content[:at]
    elif fault in ("zeros", "garbage"):
        content = content[:at] + (bytes(3) if fault == "zeros" else b"\xff\xfe\x80") + content[at + 3 :]
    elif fault.startswith("packed"):
        pack = PACKED[draw(st.sampled_from(list(PACKED)))]
        content = pack(pack(content)) if fault == "packed twice" else pack(content)
        name += draw(st.sampled_from(["", ".gz"]))
    elif fault == "suffix":
        name += draw(st.sampled_from([".gz", ".csv", ".zst", ".bak"]))
    elif fault == "encoding" and kind != "parquet":
        content = content.decode("utf-8").encode(draw(st.sampled_from(ENCODINGS)), "replace")
    elif fault == "doubled":
        content += content
    elif fault == "empty":
        content = b""
    return name, content


def _content(draw: Any, kind: str) -> bytes:
    if kind == "text":
        return draw(texts).encode()
    name, free = draw(names), kind == "jsonl"  # where rows are free to differ
    rows = [{"id": i, draw(names) if free else name: draw(values)} for i in range(draw(st.integers(1, 4)))]
    try:
        return table(kind, rows)
    except (pa.ArrowException, ValueError):  # a table cannot hold such rows
        return table(kind, [{"id": 1, "text": "x"}])


def reference(format: str, content: bytes) -> list[str] | None:
    """What the file holds, by the shortest reader that there is; None if it holds no documents of this format."""
    for magic, unpack in ((b"\x1f\x8b", gzip.decompress), (b"BZh", bz2.decompress), (b"\xfd7zXZ", lzma.decompress)):
        if format != "parquet" and content.startswith(magic):
            content = unpack(content)
            break
    if not content:
        return []
    if format == "parquet":
        file = parquet.ParquetFile(io.BytesIO(content))
        name = "text" if "text" in file.schema_arrow.names else "body"
        found = file.read(columns=[name])[name].to_pylist()
    else:
        bom = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}.get(content[:2], "utf-8-sig")
        text = content.decode(bom)
        if format == "text":
            lines = [text.replace("\r\n", "\n").replace("\r", "\n")]
            return [line for line in lines if line]
        if format == "jsonl":
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            rows = list(csv.DictReader(io.StringIO(text.lstrip("\r\n"), newline=""), strict=True))
        found = [row["text" if "text" in row else "body"] for row in rows]
    kept = [value for value in found if value is not None]
    return kept if all(isinstance(value, str) for value in kept) else None


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(corpora())
def test_documents_are_those_of_a_plain_reader_or_there_is_an_error_of_ours(made):
    format, files = made
    with tempfile.TemporaryDirectory() as directory:
        for name, content in files.items():
            put(Path(directory) / name, content)
        try:
            corpus = find({"path": f"{directory}/*", "format": format})
            documents = list(corpus.documents())
        except ZfscaleError as error:
            assert_told(error, f"{directory}/")
            return
        expected = [reference(format, content) for _, content in sorted(files.items())]
        assert documents == [document for part in expected for document in (["refuse it"] if part is None else part)]


def test_the_reference_reads_what_is_written():
    """So that the test above compares something."""
    rows = [{"id": 1, "text": 'a "quoted"\nline'}, {"id": 2, "text": "b"}]
    for format in TABLES:
        assert reference(format, table(format, rows)) == ['a "quoted"\nline', "b"]
    assert reference("text", gzip.compress(b"a\r\nb")) == ["a\nb"]
