"""What goes wrong with datasets of the hub's format: the right documents, or one line with dataset, file and row."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.data.poems import Counting, documents
from tests.data.text_writing import notes, put, table
from tests.troubles import TROUBLES, No, assert_covers, assert_told
from zfscale.data.corpora import find
from zfscale.data.text import load_domain
from zfscale.errors import DataError

ROWS = [{"id": i, "text": f"row {i} of a dataset, naïve"} for i in range(5)]
TEXTS = [row["text"] for row in ROWS]
PICTURE = No("text has none of it")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def read(directory: Path, **options: Any) -> list[str]:
    source = {"hub": str(directory), **options} if options else str(directory)
    return list(find(source).documents())


def told(directory: Path, *names: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        read(directory, **options)
    assert_told(caught.value, f"dataset {str(directory)!r}", *names)


def nulls(tmp: Path) -> None:
    put(tmp / "a" / "train.parquet", table("parquet", [*ROWS, {"id": 5, "text": None}]))
    assert read(tmp / "a") == TEXTS
    assert notes(str(tmp / "a")) == [f"skipped rows of null: 1; the first: dataset {str(tmp / 'a')!r}, row 5"]


def other_types(tmp: Path) -> None:
    for i, value in enumerate((1, ["a"], [{"role": "user", "content": "x"}], {"a": "b"}, True)):
        for format in ("parquet", "jsonl"):
            put(tmp / f"{i}{format}" / f"train.{format}", table(format, [{"text": value, "body": "right"}]))
            told(tmp / f"{i}{format}", "column 'text' holds ", "not text; make one text of each row, or name another")
            assert read(tmp / f"{i}{format}", columns={"text": "body"}) == ["right"]
    put(tmp / "b" / "train-0.jsonl", table("jsonl", ROWS))
    put(tmp / "b" / "train-1.jsonl", table("jsonl", [{"id": 1, "text": 7}]))  # of which the client makes "7"
    told(tmp / "b", "train-1.jsonl: column 'text' holds a number (int), not text")


def other_encodings(tmp: Path) -> None:
    put(tmp / "a" / "train.txt", "naïve\n".encode("latin-1"))
    told(tmp / "a", "train.txt: byte 2 (0xef) is no utf-8")
    put(tmp / "b" / "train.jsonl", '{"text": "naïve"}\n'.encode("latin-1"))
    told(tmp / "b", "train.jsonl: byte 12 (0xef) is no utf-8")


def cut(tmp: Path) -> None:
    lines = table("jsonl", ROWS)
    put(tmp / "a" / "train.jsonl", lines + b'{"id": 5, "te\n' + lines)
    told(tmp / "a", "train.jsonl, line 6: is no JSON: ")
    put(tmp / "b" / "train-0.parquet", table("parquet", ROWS))
    put(tmp / "b" / "train-1.parquet", table("parquet", ROWS)[:-9])
    told(tmp / "b", "train-1.parquet: cannot be read as Parquet", "after 5 rows")
    put(tmp / "c" / "train.jsonl.gz", gzip.compress(lines)[:-9])
    told(tmp / "c", "train.jsonl.gz: cannot be read: EOFError")
    put(tmp / "d" / "train.parquet", "version https://git-lfs.github.com/spec/v1\n")
    told(tmp / "d", "train.parquet: is no Parquet file: it starts with b'vers'")


def empty(tmp: Path) -> None:
    put(tmp / "a" / "train.jsonl", "")
    told(tmp / "a", "has no rows")
    (tmp / "b").mkdir()
    with pytest.raises(DataError, match="no file matches"):
        read(tmp / "b")


def hidden(tmp: Path) -> None:
    put(tmp / "a" / "train.jsonl", table("jsonl", ROWS))
    put(tmp / "a" / ".ipynb_checkpoints" / "train-checkpoint.jsonl", table("jsonl", ROWS))
    put(tmp / "a" / ".train.jsonl", "no JSON")
    assert read(tmp / "a") == TEXTS


def duplicate(tmp: Path) -> None:
    put(tmp / "a" / "train.jsonl", table("jsonl", [{"text": f"row {i % 40} of forty"} for i in range(400)]))
    domain = load_domain("d", str(tmp / "a"), Counting(), 16, None, 10**6, tmp / "cache")
    assert not set(documents(domain.train)[:-1]) & set(documents(domain.held_out)[:-1])


def other_columns(tmp: Path) -> None:
    put(tmp / "a" / "train-0.parquet", table("parquet", ROWS))
    put(tmp / "a" / "train-1.parquet", table("parquet", [{"body": "x"}]))
    told(tmp / "a", "train-1.parquet: has other columns (body) than", "train-0.parquet (id, text)", "after 5 rows")
    put(tmp / "b" / "train.jsonl", table("jsonl", [{"body": "x", "title": "y"}]))
    told(tmp / "b", "has no column 'text'; columns: {text: ...} names the one of text", "body (text), title (text)")
    told(tmp / "b", "has no column 'bdy'; columns: {text: ...} names", columns={"text": "bdy"})
    assert read(tmp / "b", columns={"text": "body"}) == ["x"]


def link(tmp: Path) -> None:
    put(tmp / "blobs" / "0123", table("parquet", ROWS))  # as the client's own cache has them
    (tmp / "a").mkdir()
    (tmp / "a" / "train.parquet").symlink_to(tmp / "blobs" / "0123")
    assert read(tmp / "a") == TEXTS
    (tmp / "a" / "train-1.parquet").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"train-1\.parquet: is a link to nothing \(nowhere\)$"):
        read(tmp / "a")


def unreadable(tmp: Path) -> None:
    put(tmp / "a" / "train.parquet", table("parquet", ROWS))
    os.mkfifo(tmp / "a" / "train-1.parquet")
    with pytest.raises(DataError, match=r"train-1\.parquet: is a named pipe, not a file$"):
        read(tmp / "a")


TABLE: dict[str, Callable[[Path], None] | No] = {
    "null": nulls,
    "wrong type": other_types,
    "wrong encoding": other_encodings,
    "cut": cut,
    "empty": empty,
    "hidden": hidden,
    "duplicate": duplicate,
    "other schema": other_columns,
    "other class set": PICTURE,
    "other bit depth": PICTURE,
    "rotated": PICTURE,
    "link": link,
    "unreadable": unreadable,
}


def test_every_trouble_has_a_case():
    assert_covers(TABLE)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble(trouble, tmp_path):
    case = TABLE[trouble]
    if isinstance(case, No):
        pytest.skip(case.reason)
    case(tmp_path)


def test_splits_and_configurations(tmp_path):
    put(tmp_path / "test.jsonl", table("jsonl", ROWS))
    put(tmp_path / "validation.jsonl", table("jsonl", ROWS[:2]))
    assert read(tmp_path, split={"train": "validation"}) == TEXTS[:2]
    assert read(tmp_path, split={"train": "test"}) == TEXTS
    told(tmp_path, "has no split 'train'; splits: validation, test", split={"train": "train"})
    told(tmp_path, "BuilderConfig 'de' not found", config="de")
    assert "split 'validation' is read, of validation, test" in notes(str(tmp_path))[0]


def test_what_is_asked_of_the_client(monkeypatch):
    def load_dataset(*args: Any, **options: Any) -> Any:
        asked.append((args, options))
        return {"Training": [{"text": "a"}], "test": []}

    asked: list[Any] = []
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr("zfscale.data.hub_texts.revision_of", lambda *_: None)
    corpus = find({"hub": "a/b", "config": "de", "revision": "v1", "split": None, "columns": None})
    assert list(corpus.documents()) == ["a"]
    assert asked == [(("a/b", "de"), {"streaming": True, "revision": "v1"})]
    assert corpus.identity[-1] == "v1"


def test_a_compression_that_a_package_is_missing_for(tmp_path):
    import pyarrow as pa

    put(tmp_path / "train.jsonl.zst", pa.compress(table("jsonl", ROWS), "zstd", asbytes=True))
    try:
        assert read(tmp_path) == TEXTS
    except DataError as error:
        assert_told(error, "pip install zstandard, or {path: ..., format: jsonl}")
    own = {"path": str(tmp_path / "*"), "format": "jsonl"}
    assert list(find(own).documents()) == TEXTS


def test_an_error_of_several_lines_is_told_on_one_in_full(monkeypatch):
    def load_dataset(*_: Any, **__: Any) -> Any:
        raise ValueError("\nConfig name is missing.\nPlease pick one among ['de',\n 'en']")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr("zfscale.data.hub_texts.revision_of", lambda *_: None)
    with pytest.raises(DataError) as caught:
        list(find("a/b").documents())
    message = "ValueError: Config name is missing. Please pick one among ['de', 'en']"
    remedy = "write {hub: a/b, config: NAME}"  # and no list of names, which it is not
    assert str(caught.value) == f"dataset 'a/b' cannot be loaded: {message}; {remedy}"


def test_a_saved_dataset_is_read_if_it_has_splits_and_refused_with_a_remedy_if_not(tmp_path):
    saved = datasets.Dataset.from_dict({"text": TEXTS})
    datasets.DatasetDict({"train": saved}).save_to_disk(tmp_path / "splits")
    assert read(tmp_path / "splits") == TEXTS
    saved.save_to_disk(tmp_path / "single")
    with pytest.raises(DataError, match="it is a single Dataset of save_to_disk; save a DatasetDict"):
        read(tmp_path / "single")
