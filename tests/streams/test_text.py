"""Text domains: how far is read, the split by document, the cache, and errors of one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest

from zfscale.errors import DataError
from zfscale.models.lm_base import byte_tokenizer
from zfscale.streams import corpora, text
from zfscale.streams.text import DOMAINS, TextDomain, default_cache, load_domain

END = 256
BLOCK = 32


class Counting:
    """The byte tokenizer, with what it was asked for."""

    def __init__(self) -> None:
        self.inner = byte_tokenizer()
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, document: str, **options: Any) -> Any:
        self.calls.append(document)
        return self.inner(document, **options)


@pytest.fixture
def tokenizer() -> Counting:
    return Counting()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "zfscale" / "text"


@pytest.fixture
def poems(tmp_path: Path) -> dict[str, str]:
    """A hundred files of some 60 bytes in two directories; a glob for them."""
    for i in range(100):
        file = tmp_path / "poems" / "ab"[i % 2] / f"{i:02}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"poem {i}: roses are red, violets are blue, {'naïve ' * (i % 7)}{i * i}")
    (tmp_path / "poems" / "notes.md").write_text("no poem")
    return {"path": str(tmp_path / "poems" / "**" / "*.txt"), "format": "text"}


def load(source: Any, tokenizer: Any, tokens: int | None = None, held_out: int = BLOCK, **more: Any) -> TextDomain:
    return load_domain("poems", source, tokenizer, BLOCK, tokens, held_out, **more)


def documents(blocks: np.ndarray) -> list[bytes]:
    """What stands between the ends of text."""
    return [bytes(part[part != END].tolist()) for part in np.split(blocks.ravel(), np.flatnonzero(blocks == END))]


def same(a: TextDomain, b: TextDomain) -> bool:
    arrays = np.array_equal(a.train, b.train) and np.array_equal(a.held_out, b.held_out)
    return arrays and a.bytes_per_token == b.bytes_per_token


def is_held_out(document: str) -> bool:
    return text._is_held_out(document.encode())


def test_blocks_are_the_documents_one_after_the_other(poems, tokenizer):
    files = sorted(Path(poems["path"].split("**")[0]).rglob("*.txt"))
    held = [f.read_bytes() for f in files if is_held_out(f.read_text())]
    train = [f.read_bytes() for f in files if not is_held_out(f.read_text())]
    assert 3 < len(held) < 25
    domain = load(poems, tokenizer, held_out=10**6)
    for blocks, expected in ((domain.train, train), (domain.held_out, held)):
        stream = [token for document in expected for token in (*document, END)]
        assert (blocks.dtype, blocks.shape) == (np.int32, (len(stream) // BLOCK, BLOCK))
        assert blocks.ravel().tolist() == stream[: blocks.size]
    total = sum(map(len, held))
    assert domain.bytes_per_token == pytest.approx(total / (total + len(held)))
    assert domain.name == "poems"


def test_no_document_is_in_both_parts(poems, tokenizer):
    domain = load(poems, tokenizer, held_out=10**6)
    train, held = set(documents(domain.train)[:-1]), set(documents(domain.held_out)[:-1])
    assert len(train) > 60
    assert held
    assert not train & held


def test_what_is_held_out_never_trains_whatever_the_budgets(poems, tokenizer):
    held = set(documents(load(poems, tokenizer, held_out=10**6).held_out))
    small = load(poems, tokenizer, held_out=BLOCK)
    assert not held & set(documents(small.train)[:-1])


def test_duplicates_are_on_one_side(tmp_path, tokenizer):
    for i in range(300):
        (tmp_path / f"{i:03}.txt").write_text(f"the document number {i % 30} of thirty")
    domain = load({"path": str(tmp_path / "*.txt")}, tokenizer, held_out=10**6)
    assert not set(documents(domain.train)[:-1]) & set(documents(domain.held_out)[:-1])


def test_budgets_end_the_reading(tokenizer, monkeypatch):
    read = []

    def endless() -> Iterator[str]:
        while True:
            read.append(f"document number {len(read)} of an endless series")
            yield read[-1]

    monkeypatch.setitem(DOMAINS, "endless", endless)
    domain = load("endless", tokenizer, tokens=1000, held_out=100)
    assert (domain.train.shape, domain.held_out.shape) == ((31, BLOCK), (3, BLOCK))  # whole blocks of the budgets
    trained = [d for d in read if not is_held_out(d)]
    enough = next(n for n, size in enumerate(accumulate(len(d) + 1 for d in trained), 1) if size >= 31 * BLOCK)
    assert [d for d in tokenizer.calls if not is_held_out(d)] == trained[:enough]  # nothing behind the budget
    assert len(read) < 100


def test_the_same_again(poems, tokenizer, tmp_path):
    first = load(poems, tokenizer, cache=tmp_path / "one")
    assert same(first, load(poems, byte_tokenizer(), cache=tmp_path / "two"))
    assert len(list((tmp_path / "two").iterdir())) == 1


def test_nothing_is_tokenised_twice(poems, tokenizer, cache):
    first = load(poems, tokenizer)
    calls = len(tokenizer.calls)
    assert calls > 60
    assert same(load(poems, tokenizer), first)
    assert same(load(SimpleNamespace(**poems), tokenizer), first)  # the object of a sweep file
    padded = Counting()
    padded.inner(["a", "bcd"], padding=True, truncation=True, max_length=2)  # a state of calls, no other tokenizer
    assert same(load(poems, padded), first)
    assert (len(tokenizer.calls), len(padded.calls)) == (calls, 0)
    assert cache == default_cache()
    assert [len(list(entry.iterdir())) for entry in cache.iterdir()] == [3]  # one entry, and nothing left aside


def test_what_changes_the_blocks_misses_the_cache(poems, tokenizer, cache, tmp_path):
    load(poems, tokenizer)
    changes: list[dict[str, Any]] = [{"tokens": 64}, {"held_out": 64}]
    for n, change in enumerate(changes, start=2):
        load(poems, tokenizer, **change)
        assert len(list(cache.iterdir())) == n
    load_domain("poems", poems, tokenizer, 16, None, BLOCK)
    other = Counting()
    other.inner.eos_token = other.inner.pad_token
    assert 257 in load(poems, other).train
    file = tmp_path / "poems" / "a" / "00.txt"
    os.utime(file, ns=(0, 0))
    load(poems, tokenizer)
    file.with_name("01.txt").write_text("one more")
    load(poems, tokenizer)
    assert len(list(cache.iterdir())) == 7


def test_an_embedded_domain_of_other_packages_is_another(tokenizer, cache, monkeypatch):
    monkeypatch.setitem(DOMAINS, "own", lambda: (f"document {i}" for i in range(300)))
    load("own", tokenizer)
    calls = len(tokenizer.calls)
    load("own", tokenizer)
    assert len(tokenizer.calls) == calls
    monkeypatch.setattr(corpora, "_installed", lambda: ["torch==99"])
    load("own", tokenizer)
    assert len(tokenizer.calls) == 2 * calls


@pytest.mark.parametrize("harm", ["torn", "lost"])
def test_a_broken_cache_entry_is_made_again(poems, tokenizer, cache, harm):
    first = load(poems, tokenizer)
    calls = len(tokenizer.calls)
    file = next(cache.iterdir()) / "train.npy"
    if harm == "torn":
        file.write_bytes(file.read_bytes()[:200])
    else:
        file.unlink()
    assert same(load(poems, tokenizer), first)
    assert len(tokenizer.calls) == 2 * calls
    load(poems, tokenizer)
    assert len(tokenizer.calls) == 2 * calls


def test_a_cache_that_cannot_be_written_costs_time_only(poems, tokenizer, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    domain = load(poems, tokenizer, cache=tmp_path / "file" / "cache")
    assert len(domain.train)
    assert "cannot be written" in caplog.text


def test_special_tokens_that_a_text_spells_are_text(tmp_path, tokenizer):
    for i in range(100):
        (tmp_path / f"{i}.txt").write_text(f"{i} <|endoftext|> \ud7ff")
    domain = load({"path": str(tmp_path / "*.txt")}, tokenizer)
    assert b" <|endoftext|> " in documents(domain.train)[3]


def test_lone_surrogates_are_replaced(tokenizer, monkeypatch):
    monkeypatch.setitem(DOMAINS, "odd", lambda: (f"document {i} \ud800" for i in range(100)))
    assert b"document 1 ?" in documents(load("odd", tokenizer).train)


def test_a_single_long_file_is_split(tmp_path, tokenizer):
    (tmp_path / "book.txt").write_text("".join(f"line {i}\n" for i in range(20000)))
    domain = load({"path": str(tmp_path / "book.txt")}, tokenizer, tokens=1024, held_out=1024)
    assert len(tokenizer.calls) == 2  # of some 27 pieces: no more than is needed
    assert len(domain.held_out) == 32


def test_a_tokenizer_without_end_of_text(poems, tokenizer):
    tokenizer.inner.eos_token = None
    domain = load(poems, tokenizer)
    assert domain.train.max() < 256
    assert domain.bytes_per_token == 1.0
    tokenizer.inner.sep_token = "<|pad|>"  # BERT's kind has a separator only
    assert 257 in load(poems, tokenizer).train


def rows(n: int) -> Iterator[dict[str, Any]]:
    return ({"text": f"row {i} of the set on the hub", "url": "x"} for i in range(n))


def test_a_hub_dataset_is_streamed(tokenizer, monkeypatch):
    read = []

    def stream() -> Iterator[dict[str, Any]]:
        for row in rows(10**6):
            read.append(row)
            yield row

    def load_dataset(name: str, **options: Any) -> Any:
        assert (name, options) == ("someone/corpus", {"streaming": True})
        return {"test": [], "train": stream()}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    domain = load("someone/corpus", tokenizer, tokens=3200, held_out=64)
    assert (len(domain.train), len(domain.held_out)) == (100, 2)
    assert 100 < len(read) < 200
    assert bytes(domain.train[0, :10].tolist()).startswith(b"row ")
    count = len(read)
    assert same(load("someone/corpus", tokenizer, tokens=3200, held_out=64), domain)
    assert len(read) == count


def test_a_local_dataset_through_the_hubs_client(tmp_path, tokenizer):
    datasets.Dataset.from_list([*rows(200)]).to_parquet(tmp_path / "set" / "train.parquet")
    domain = load(str(tmp_path / "set"), tokenizer, tokens=320)
    assert domain.train.shape == (10, BLOCK)
    datasets.Dataset.from_list([*rows(200)][::-1]).to_parquet(tmp_path / "set" / "train.parquet")
    assert not same(load(str(tmp_path / "set"), tokenizer, tokens=320), domain)  # its files have changed


def test_too_little_text(poems, tokenizer, cache, tmp_path, caplog):
    (tmp_path / "one.txt").write_text("a short text")
    assert not is_held_out("a short text")
    one = {"path": str(tmp_path / "one.txt")}
    with pytest.raises(
        DataError, match=r"^domain 'poems': 13 training tokens are not enough for one block of 32 \(documents read: 1; "
    ):
        load(one, tokenizer)
    long = "some text, twice as long as it would have to be"
    assert not is_held_out(long)
    (tmp_path / "one.txt").write_text(long)
    with pytest.raises(
        DataError, match=r"^domain 'poems': 0 held-out tokens are not enough for one block of 32 \(documents read: 1; "
    ):
        load(one, tokenizer)
    whole = load(poems, tokenizer, held_out=10**6)
    assert "held-out tokens, 1000000 were asked for" in caplog.text
    with pytest.raises(
        DataError, match=r"^domain 'poems': there are \d{4} training tokens, 50000 were asked for$"
    ) as e:
        load(poems, tokenizer, tokens=50000)
    assert 0 <= int(str(e.value).split()[4]) - whole.train.size < BLOCK
    assert len(list(cache.iterdir())) == 1  # what failed is not kept


def test_budgets_below_a_block(poems, tokenizer):
    for tokens, held_out, what in ((31, 32, "31 training"), (None, 31, "31 held-out"), (None, 0, "0 held-out")):
        with pytest.raises(DataError, match=f"^domain 'poems': a budget of {what} tokens is less than one block of 32"):
            load(poems, tokenizer, tokens=tokens, held_out=held_out)
    assert not tokenizer.calls
