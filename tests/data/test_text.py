"""Text domains: how far is read, the split by document, and errors of one line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from tests.data.poems import BLOCK, END, documents, is_held_out, load, same
from zfscale.data import hub_texts
from zfscale.data.embedded_texts import DOMAINS
from zfscale.errors import DataError


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
    read: list[Any] = []

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
    read: list[Any] = []

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


def test_a_hub_dataset_is_known_by_its_revision(tokenizer, monkeypatch):
    def load_dataset(name: str, **options: Any) -> Any:
        asked.append(options.get("revision"))
        return {"train": rows(100)}

    asked: list[str | None] = []
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    for revision in (None, "a", "b", "a", None):  # at last where the hub cannot be asked, of what it said last
        monkeypatch.setattr(hub_texts, "revision_of", lambda *_, found=revision: found)
        load("someone/corpus", tokenizer, tokens=320)
    assert asked == [None, "a", "b"]


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
    ) as lack:
        load(one, tokenizer)
    assert "about one in 10 is held out, none of them, by the hash of its content; " in str(lack.value)
    assert "some 10 more like them, 470 bytes, or a smaller block_size, are needed" in str(lack.value)
    whole = load(poems, tokenizer, held_out=10**6)
    assert "held-out tokens, 1000000 were asked for" in caplog.text
    with pytest.raises(
        DataError, match=r"^domain 'poems': there are \d{4} training tokens, 50000 were asked for$"
    ) as e:
        load(poems, tokenizer, tokens=50000)
    assert 0 <= int(str(e.value).split()[4]) - whole.train.size < BLOCK
    calls = len(tokenizer.calls)
    with pytest.raises(DataError, match="50000 were asked for"):
        load(poems, tokenizer, tokens=50000)
    assert len(tokenizer.calls) == calls  # all there is has been tokenised


def test_budgets_below_a_block(poems, tokenizer):
    for tokens, held_out, what in ((31, 32, "31 training"), (None, 31, "31 held-out"), (None, 0, "0 held-out")):
        with pytest.raises(DataError, match=f"^domain 'poems': a budget of {what} tokens is less than one block of 32"):
            load(poems, tokenizer, tokens=tokens, held_out=held_out)
    assert not tokenizer.calls
