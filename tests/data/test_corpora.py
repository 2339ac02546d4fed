"""Where documents come from: files of any kind, the hub's client, and what an installation carries."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import datasets
import pytest

from zfscale.data import embedded_texts, file_sets, text_files
from zfscale.data.corpora import find
from zfscale.data.embedded_texts import DOMAINS
from zfscale.errors import DataError
from zfscale.spec.sources import Columns, DomainPath, HubDataset, Splits


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test does not say otherwise."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def read(source: Any) -> list[str]:
    return list(find(source).documents())


def test_a_long_file_is_read_in_pieces(tmp_path):
    lines = [f"line {i}\n" + "\n" * (i % 50 == 0) for i in range(20000)]
    (tmp_path / "book.txt").write_text("".join(lines))
    (tmp_path / "line.txt").write_text("x" * 100_000)
    (tmp_path / "short.txt").write_text("y" * text_files.PIECE)
    for name in ("book", "line", "short"):
        pieces = read({"path": str(tmp_path / f"{name}.txt")})
        assert "".join(pieces) == (tmp_path / f"{name}.txt").read_text()
        assert len(pieces) == {"book": 27, "line": 13, "short": 1}[name]
        assert max(map(len, pieces)) <= text_files.PIECE
        if name == "book":
            assert all(piece.endswith("\n\n") for piece in pieces[:-1])


def test_a_hub_dataset_that_cannot_be_had(monkeypatch):
    def missing(name: str, **_: Any) -> Any:
        raise FileNotFoundError("Dataset 'python-cod' doesn't exist on the Hub\nor cannot be accessed")

    monkeypatch.setattr(datasets, "load_dataset", missing)
    with pytest.raises(DataError, match="did you mean 'python-code'") as caught:
        read("python-cod")
    assert str(caught.value).startswith(
        "dataset 'python-cod' cannot be loaded: FileNotFoundError: Dataset 'python-cod'"
    )
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: {"train": [{"body": "x", "id": 1}]})
    assert read("a/b") == ["x"]  # the only column of text
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: {"train": [{"body": "x", "title": "y", "id": 1}]})
    with pytest.raises(DataError, match=r"^dataset 'a/b': has no column 'text'; columns: \{text: ...\} names the one"):
        read("a/b")


def test_a_connection_that_breaks(monkeypatch):
    def broken() -> Iterator[dict[str, Any]]:
        yield from ({"text": f"row {i}"} for i in range(3))
        raise ConnectionError("reset by peer")

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: {"train": broken()})
    with pytest.raises(DataError, match=r"'a/b' cannot be loaded: ConnectionError: reset by peer"):
        read("a/b")


def test_files_are_known_by_their_contents(tmp_path):
    def identity() -> Any:
        return find({"path": str(tmp_path / "*.txt*")}).identity

    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two" * 1_000_000)
    first = identity()
    assert [len(digest) for digest in first[-1]] == [64, 64]
    (tmp_path / "a.txt").rename(tmp_path / "A.txt")
    assert identity() == first
    (tmp_path / "b.txt").write_text("two" * 999_999 + "too")
    assert identity() != first


def test_a_directory_is_known_by_names_and_contents(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.txt").write_text("one")
    first = find(str(tmp_path / "set")).identity
    (tmp_path / "set").rename(tmp_path / "moved")
    assert find(str(tmp_path / "moved")).identity == first
    (tmp_path / "moved" / "train.txt").rename(tmp_path / "moved" / "test.txt")
    assert find(str(tmp_path / "moved")).identity != first


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="gone: cannot be read: No such file"):
        file_sets.digest(str(tmp_path / "gone"))


def test_the_revision_of_a_hub_dataset(monkeypatch):
    class Api:
        def dataset_info(self, name: str, timeout: float) -> Any:
            if name != "a/b":
                raise ConnectionError("no network")
            return SimpleNamespace(sha="0123abc")

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert find("a/b").identity[-1] == "0123abc"
    assert find("a/c").identity[-1] is None


def test_sources_of_a_sweep_file(tmp_path):
    """As the grammar gives them, with all their options."""
    rows = '{"body": "na\u00efve", "title": "x"}\n'
    (tmp_path / "latin.jsonl").write_text(rows, "latin-1")
    path = DomainPath(path=str(tmp_path / "*"), format="jsonl", column="body", encoding="latin-1")
    assert read(path) == ["na\u00efve"]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a_validation.jsonl").write_text(rows)
    (tmp_path / "set" / "a_test.jsonl").write_text(rows.replace("x", "y"))
    hub = HubDataset(hub=str(tmp_path / "set"), split=Splits(train="test"), columns=Columns(text="title"))
    assert read(hub) == ["y"]


def test_globs_without_files(tmp_path):
    with pytest.raises(DataError, match=r"nowhere/\*\.txt: no file matches$"):
        read({"path": str(tmp_path / "nowhere" / "*.txt")})
    (tmp_path / "dir").mkdir()
    with pytest.raises(DataError, match=r"dir: no file matches; it is a directory: .*dir/\*\*/\*\?$"):
        read({"path": str(tmp_path / "dir")})


@pytest.mark.parametrize("name", DOMAINS)
def test_embedded_domains(name):
    """Each yields 300 kB of text of its own kind, in the same order every time."""
    texts, total = [], 0
    for document in DOMAINS[name]():
        texts.append(document)
        total += len(document)
        if total > 300_000:
            break
    assert total > 300_000
    assert len(set(texts)) == len(texts) > 9
    mark = {"python-code": "self", "cpp-headers": "const", "licenses": "or", "reference": "statement"}
    assert sum(mark.get(name, "") in document for document in texts) > len(texts) / 3
    again = DOMAINS[name]()
    assert [next(again) for _ in range(5)] == texts[:5]


def test_excerpts_mix_files_and_appear_once(tmp_path):
    for name in ("a", "b"):
        lines = "".join(f"{name} says {i} of a thousand\n" for i in range(1000))
        (tmp_path / name).write_text("the same in both\n" * 80 + "\n" + lines)
    excerpts = list(embedded_texts._excerpts(tmp_path.iterdir()))
    assert sum("the same in both" in excerpt for excerpt in excerpts) == 1
    assert sum(excerpt.count("thousand") for excerpt in excerpts) == 2000
    assert max(map(len, excerpts)) <= embedded_texts.EXCERPT
    first = [excerpt[0] for excerpt in excerpts]
    assert sum(x != y for x, y in pairwise(first)) > len(first) / 4
    assert excerpts == list(embedded_texts._excerpts(sorted(tmp_path.iterdir(), reverse=True)))


def test_docstrings_of_a_module():
    code = '''
class Public:
    """{long} class"""
    def method(self):
        """{long} method"""
    def _private(self):
        """{long} private"""
def short():
    """Short."""
'''.replace("{long}", "word " * 50)
    assert [d.split()[-1] for d in embedded_texts._docstrings(code)] == ["class", "method"]
    assert not list(embedded_texts._docstrings("no python {{"))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(embedded_texts, "PROSE", ("numpy", "no_such_package"))
    with pytest.raises(DataError, match="package 'no_such_package' is not installed"):
        read("docstrings")
