"""Text domains: how far is read, the split by document, the cache, and errors of one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
    monkeypatch.setattr(corpora, "revision_of", lambda _: None)
    monkeypatch.chdir(tmp_path)
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
    assert [file.suffix for file in cache.iterdir()] == [".npz"]  # one entry, and nothing left aside


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
        ids, length = [], 0
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
    assert len(list(cache.iterdir())) == 2
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
    assert len(list(cache.iterdir())) == 3


def test_an_embedded_domain_of_other_packages_is_another(tokenizer, cache, monkeypatch):
    monkeypatch.setitem(DOMAINS, "own", lambda: (f"document {i}" for i in range(300)))
    load("own", tokenizer)
    calls = len(tokenizer.calls)
    load("own", tokenizer)
    assert len(tokenizer.calls) == calls
    monkeypatch.setattr(corpora, "_installed", lambda: ["torch==99"])
    load("own", tokenizer)
    assert len(tokenizer.calls) == 2 * calls


@pytest.mark.parametrize("harm", ["torn", "lost", "empty", "no archive", "flipped"])
def test_a_broken_cache_entry_is_made_again(poems, tokenizer, cache, harm):
    first = load(poems, tokenizer)
    calls = len(tokenizer.calls)
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    content[300] ^= 1  # a token
    parts = {"torn": content[:2000], "empty": b"", "no archive": b"text" * 999, "flipped": content}
    file.unlink()
    if harm in parts:
        file.write_bytes(parts[harm])
    assert same(load(poems, tokenizer), first)
    assert len(tokenizer.calls) == 2 * calls
    load(poems, tokenizer)
    assert len(tokenizer.calls) == 2 * calls


def test_of_two_writers_neither_undoes_what_the_other_read(poems, tokenizer, cache, monkeypatch):
    """The second one starts before the first has written, and reads more of one side and less of the other."""
    texts = corpora.text_files

    def slowly(files: Any) -> Iterator[str]:
        monkeypatch.setattr(corpora, "text_files", texts)
        load(poems, tokenizer, tokens=2000, held_out=32)
        yield from texts(files)

    monkeypatch.setattr(corpora, "text_files", slowly)
    load(poems, tokenizer, tokens=320, held_out=10**6)
    calls = len(tokenizer.calls)
    load(poems, tokenizer, tokens=2000, held_out=10**6)
    assert len(tokenizer.calls) == calls


def test_many_at_once(poems, tokenizer, cache, tmp_path):
    expected = [load(poems, byte_tokenizer(), n, cache=tmp_path / "alone") for n in range(32, 3232, 320)]
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda n: load(poems, byte_tokenizer(), n), range(32, 3232, 320)))
    assert all(map(same, found, expected))
    assert [file.suffix for file in cache.iterdir()] == [".npz"]


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


def test_a_hub_dataset_is_known_by_its_revision(tokenizer, monkeypatch):
    def load_dataset(name: str, **options: Any) -> Any:
        asked.append(options.get("revision"))
        return {"train": rows(100)}

    asked: list[str | None] = []
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    for revision in (None, "a", "b", "a", None):  # at last where the hub cannot be asked, of what it said last
        monkeypatch.setattr(corpora, "revision_of", lambda _, found=revision: found)
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
    ):
        load(one, tokenizer)
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
