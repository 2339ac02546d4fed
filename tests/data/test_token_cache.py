"""Text is tokenised once: what is asked for later, in any order, is what a fresh cache would give."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.data.poems import END, Counting, is_held_out, load, same
from tests.data.text_writing import put, table
from zfscale.data import corpora, embedded_texts, token_cache
from zfscale.data.embedded_texts import DOMAINS
from zfscale.data.formats import text
from zfscale.data.text import TextDomain, default_cache, load_domain
from zfscale.errors import DataError
from zfscale.pretraining.lm_nano import byte_tokenizer


def test_the_same_again(poems, tokenizer, tmp_path):
    first = load(poems, tokenizer, cache=tmp_path / "one")
    assert same(first, load(poems, byte_tokenizer(), cache=tmp_path / "two"))
    assert names(tmp_path / "two") == [".held_out", ".train"]


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
    assert names(cache) == [".held_out", ".train"]  # one entry, and nothing left aside


def names(cache: Path) -> list[str]:
    """Suffixes of the entries of a cache and of what is left aside; not of the memory of files that last."""
    return sorted(file.suffix for file in cache.iterdir() if file.suffix != ".json")


REQUESTS = [  # block size, training and held-out budgets; None: all there is
    (32, 320, 64),
    (32, 1000, 32),
    (16, 48, 200),
    (32, None, 32),
    (7, 100, 7),
    (32, 330, 10**6),
    (64, 4000, 330),
]


def plain(source: Any, size: int, tokens: int | None, held_out: int) -> TextDomain:
    """In a loop: whole documents until a side has the blocks of its budget."""
    found: list[np.ndarray] = []
    for held, budget in ((False, tokens or 10**9), (True, held_out)):
        ids: list[Any] = []
        length = 0
        for document in (d.encode() for d in corpora.find(source).documents() if is_held_out(d) == held):
            if len(ids) < budget - budget % size:
                ids += [*document, END]
                length += len(document)
        found.append(np.array(ids[: min(budget, len(ids)) // size * size]).reshape(-1, size))
    return TextDomain("poems", found[0], found[1], length / len(ids))


@pytest.mark.parametrize("order", range(6))
def test_blocks_do_not_depend_on_what_was_asked_for_before(order, poems, tokenizer, tmp_path):
    """And no document is tokenised twice."""
    for k in np.random.default_rng(order).permutation(len(REQUESTS)):
        size, tokens, held_out = REQUESTS[k]
        found = load_domain("poems", poems, tokenizer, size, tokens, held_out)
        fresh = load_domain("poems", poems, byte_tokenizer(), size, tokens, held_out, cache=tmp_path / str(k))
        assert same(found, fresh)
        assert same(found, plain(poems, size, tokens, held_out))
    assert len(tokenizer.calls) == len(set(tokenizer.calls))


def test_of_a_longer_request_only_the_rest_is_tokenised(poems, tokenizer):
    load(poems, tokenizer, tokens=320, held_out=64)
    before = len(tokenizer.calls)
    load(poems, tokenizer, tokens=640, held_out=64)
    assert before < len(tokenizer.calls) < before + 10
    whole = Counting()
    load(poems, whole, tokens=640, held_out=64, cache="elsewhere")
    assert sorted(tokenizer.calls) == sorted(whole.calls)


def test_what_changes_the_tokens_is_another_entry(poems, tokenizer, cache, tmp_path):
    first = load(poems, tokenizer)
    other = Counting()
    other.inner.eos_token = other.inner.pad_token
    assert 257 in load(poems, other).train
    assert len(names(cache)) == 2 * 2
    file, calls = tmp_path / "poems" / "a" / "00.txt", len(tokenizer.calls)
    os.utime(file, ns=(0, 0))
    (tmp_path / "poems").rename(tmp_path / "verses")
    moved = {"path": poems["path"].replace("poems", "verses")}
    assert same(load(moved, tokenizer), first)  # the same contents
    assert len(tokenizer.calls) == calls
    file = tmp_path / "verses" / "a" / "00.txt"
    content, stat = file.read_text(), file.stat()
    file.write_text(content.replace("roses", "tulip"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not same(load(moved, tokenizer), first)  # others, of the same size and time
    assert len(names(cache)) == 3 * 2


def test_an_embedded_domain_of_other_packages_is_another(tokenizer, cache, monkeypatch):
    monkeypatch.setitem(DOMAINS, "own", lambda: (f"document {i}" for i in range(300)))
    load("own", tokenizer)
    calls = len(tokenizer.calls)
    load("own", tokenizer)
    assert len(tokenizer.calls) == calls
    monkeypatch.setattr(embedded_texts, "installed", lambda: ["torch==99"])
    load("own", tokenizer)
    assert len(tokenizer.calls) == 2 * calls


@pytest.mark.parametrize("harm", ["torn", "lost", "empty", "other file", "flipped", "flipped table"])
def test_a_broken_cache_entry_is_made_again(poems, tokenizer, cache, harm):
    first = load(poems, tokenizer)
    calls = len(tokenizer.calls)
    (file,) = cache.glob("*.train")
    content = bytearray(file.read_bytes())
    content[-500 if "table" in harm else 300] ^= 1  # of the table of documents, or a token
    parts = {"torn": content[:2000], "empty": b"", "other file": b"text" * 999, "lost": None}
    file.unlink()
    if (harmed := parts.get(harm, content)) is not None:
        file.write_bytes(harmed)
    assert same(load(poems, tokenizer), first)
    again = len(tokenizer.calls)
    assert calls < again < 2 * calls  # of that side only
    load(poems, tokenizer)
    assert len(tokenizer.calls) == again


def test_of_two_writers_neither_undoes_what_the_other_read(poems, tokenizer, cache, monkeypatch):
    """The second one starts before the first has written, and reads more of one side and less of the other."""
    texts = text.text_file

    def slowly(*args: Any) -> Iterator[str]:
        monkeypatch.setattr(text, "text_file", texts)
        load(poems, tokenizer, tokens=2000, held_out=32)
        yield from texts(*args)

    monkeypatch.setattr(text, "text_file", slowly)
    load(poems, tokenizer, tokens=320, held_out=10**6)
    calls = len(tokenizer.calls)
    load(poems, tokenizer, tokens=2000, held_out=10**6)
    assert len(tokenizer.calls) == calls


def test_many_at_once(poems, tokenizer, cache, tmp_path):
    expected = [load(poems, byte_tokenizer(), n, cache=tmp_path / "alone") for n in range(32, 3232, 320)]
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda n: load(poems, byte_tokenizer(), n), range(32, 3232, 320)))
    assert all(map(same, found, expected))
    assert names(cache) == [".held_out", ".train"]


def test_a_cache_that_cannot_be_written_costs_time_only(poems, tokenizer, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    domain = load(poems, tokenizer, cache=tmp_path / "file" / "cache")
    assert len(domain.train)
    assert "cannot be written" in caplog.text


def test_blocks_are_mapped_and_read_only(poems, tokenizer, cache):
    """A side larger than memory is one of many files of the system's page cache."""
    domain = load(poems, tokenizer)
    for blocks in (domain.train, domain.held_out):
        base: Any = blocks
        while base is not None and not isinstance(base, np.memmap):
            base = base.base
        assert base is not None
        assert type(blocks) is np.ndarray  # which Ray stores without a copy of its own
        assert not blocks.flags.writeable


@pytest.mark.parametrize("part", [1, 64, 1000, 1 << 20])
def test_tokens_in_parts_of_any_size(part, poems, tokenizer, cache, tmp_path, monkeypatch):
    whole = load(poems, tokenizer, held_out=10**6)
    monkeypatch.setattr(token_cache, "PART", part)
    for n, tokens in enumerate((320, 1000, None)):  # each goes on where the one before ended
        assert same(
            load(poems, tokenizer, tokens, 10**6, cache=tmp_path / "small"),
            load(poems, tokenizer, tokens, 10**6, cache=tmp_path / str(n)),
        )
    assert same(load(poems, tokenizer, None, 10**6, cache=tmp_path / "small"), whole)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, DataError])
def test_what_is_interrupted_leaves_nothing(stop, poems, tokenizer, cache, monkeypatch):
    texts = text.text_file

    def stopped(*args: Any) -> Iterator[str]:
        yield from list(texts(*args))[:50]
        raise stop("by the user")

    with monkeypatch.context() as patch:
        patch.setattr(text, "text_file", stopped)
        with pytest.raises(stop):
            load(poems, tokenizer, held_out=10**6)
    assert [file for file in cache.iterdir() if file.suffix != ".json"] == []
    assert len(load(poems, tokenizer, held_out=10**6).train)


def test_a_full_disk_is_told_with_its_directory(poems, tokenizer, cache, monkeypatch):
    def full(self: Any, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    class Full:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return full.__get__(self) if name == "write" else getattr(self.inner, name)

    make = token_cache.Aside

    def aside(directory: Path) -> Any:
        made = make(directory)
        made.file = Full(made.file)  # type: ignore[assignment]
        return made

    monkeypatch.setattr(token_cache, "Aside", aside)
    for left in (0, 2):  # what was there before
        with pytest.raises(DataError, match=rf"^{cache}: tokens cannot be written: No space left on .*XDG_CACHE"):
            load(poems, tokenizer)
        assert len(names(cache)) == left
        monkeypatch.setattr(token_cache, "Aside", make)
        load(poems, tokenizer, tokens=320)
        monkeypatch.setattr(token_cache, "Aside", aside)
        monkeypatch.setattr(token_cache, "PART", 8)


def test_what_was_skipped_is_said_again_when_nothing_is_read(tmp_path, tokenizer, cache, caplog):
    rows = [{"text": f"document {i % 50} of fifty"} for i in range(100)] + [{"text": None}]
    put(tmp_path / "a.jsonl", table("jsonl", rows))
    for _ in range(2):
        caplog.clear()
        load({"path": str(tmp_path / "a.jsonl"), "format": "jsonl"}, tokenizer, held_out=10**6)
        said = [record.getMessage() for record in caplog.records]
        assert said[0] == f"domain poems: skipped rows of null: 1; the first: {tmp_path}/a.jsonl, line 101"
        assert said[1] == "domain poems: 50 of 100 documents repeat an earlier one"
