"""Text domains: documents in, blocks of tokens out; what was tokenised once is mapped from a cache.

Nothing here needs torch. Shapes: N training blocks, M held-out blocks, B tokens a block.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from zfscale.data import token_cache
from zfscale.data.corpora import find
from zfscale.data.corpus import Corpus
from zfscale.data.notes import Notes
from zfscale.data.progress import progress
from zfscale.data.token_cache import Growth, Side
from zfscale.errors import DataError

HELD_OUT = 10  # one document of so many is held out

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextDomain:
    """A domain as blocks of token ids: train int32 [N, B], held_out int32 [M, B], read-only and mapped from a file.

    `bytes_per_token` is of the held-out documents, their end-of-text tokens included: a held-out loss of x nats a
    token is x / (ln 2 * bytes_per_token) bits a byte of UTF-8, which compares across tokenizers.
    """

    name: str
    train: np.ndarray
    held_out: np.ndarray
    bytes_per_token: float


def load_domain(
    name: str,
    source: str | Any,
    tokenizer: Any,
    block_size: int,
    tokens: int | None,
    held_out_tokens: int,
    cache: Path | str | None = None,
) -> TextDomain:
    """Read the domain `name` from `source`: a name of `DOMAINS`, a hub id, `{hub: ID, ...}` or `{path: GLOB, ...}`.

    `tokens` is the training budget (0 or None: all there is), cut to whole blocks, as is `held_out_tokens`. Documents
    are read until both are filled, and no further; each is tokenised once, whatever is asked for later. One whose
    content hashes to 0 modulo `HELD_OUT` never trains, whatever the budgets, so that equal documents are on one side.
    `tokenizer` is transformers'; `cache` a directory, by default `default_cache()`. What was skipped, repaired or
    found twice is logged, one line a kind.
    Errors: DataError if there is no text, or less than a block or than the training budget.
    """
    for what, budget in (("training", tokens or block_size), ("held-out", held_out_tokens)):
        if budget < block_size:
            raise DataError(
                f"domain {name!r}: a budget of {budget} {what} tokens is less than one block of {block_size}"
            )
    where = Path(cache).expanduser() if cache else default_cache()
    corpus = find(source, where)
    key = [_fingerprint(tokenizer), corpus.identity]
    train, held_out = (
        _Part(what, block_size, budget, token_cache.entry(where, key, side))
        for what, budget, side in zip(
            ("training", "held-out"), (tokens or None, held_out_tokens), token_cache.SIDES, strict=True
        )
    )
    if not (train.full and held_out.full):
        _read_on(name, (train, held_out), corpus, tokenizer)
    _say(name, (train, held_out), corpus)
    _check(name, train, held_out)
    return TextDomain(name, train.blocks(), held_out.blocks(), held_out.bytes_per_token)


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/zfscale/text`, by default `~/.cache/zfscale/text`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "zfscale" / "text"


class _Part:
    """What is asked of one side of the split, and what of it is there; `budget` is in tokens, None for no end."""

    def __init__(self, what: str, block_size: int, budget: int | None, file: Path) -> None:
        self.what, self.block_size, self.budget, self.file = what, block_size, budget, file
        self.side: Side = token_cache.read(file, self.needs)

    @property
    def needs(self) -> int | None:
        """Tokens of the whole blocks that the budget allows."""
        return None if self.budget is None else self.budget - self.budget % self.block_size

    @property
    def tokens(self) -> int:
        """All that are there."""
        return len(self.side.ids)

    @property
    def full(self) -> bool:
        """Whether there is enough, or no more to be had."""
        return self.side.has(self.needs)

    def blocks(self) -> np.ndarray:
        """int32 [blocks, block_size]; what does not fill a block is left out."""
        take = self.tokens if self.needs is None else min(self.tokens, self.needs)
        return self.side.ids[: take - take % self.block_size].reshape(-1, self.block_size)

    @property
    def bytes_per_token(self) -> float:
        """Of the first documents that have the tokens needed, or of all."""
        table = self.side.table
        ends = np.cumsum(table["tokens"])
        count = len(ends) if self.needs is None else 1 + int(np.searchsorted(ends, self.needs))
        return float(table["size"][:count].sum() / table["tokens"][:count].sum())


class _Growing:
    """A part that is not full, while documents are added to it; `told` is called with the tokens of each."""

    def __init__(self, part: _Part) -> None:
        self._part, self.read, self.full = part, part.side.read, False
        self._growth = Growth(part.file, part.side)
        self.told: Callable[[int], None] = lambda _: None

    def add(self, ids: list[int], size: int, digest: int) -> None:
        self._growth.add(ids, size, digest)
        self.full = self._part.needs is not None and self._growth.tokens >= self._part.needs
        self.told(len(ids))

    def close(self, notes: Notes) -> None:
        """The part has all that was added; if it is not full, the source has no more."""
        self._part.side = self._growth.keep(self.read, not self.full, notes.lines())

    def drop(self) -> None:
        """Nothing half done stays."""
        self._growth.drop()


def _read_on(name: str, parts: Sequence[_Part], corpus: Corpus, tokenizer: Any) -> None:
    """Tokenise documents until the parts are full; either all that was added is kept, or nothing."""
    notes, growing = Notes(), dict[str, _Growing]()
    try:
        growing.update((part.what, _Growing(part)) for part in parts if not part.full)
        budget = parts[0].needs if parts[0].what in growing else None
        total, unit = (corpus.size, "bytes of text") if budget is None else (budget, "tokens")
        with progress(f"tokenising {name}", total, unit) as advance:
            documents = corpus.documents(notes)
            if budget is not None:
                growing[parts[0].what].told = advance
            else:
                documents = _counted(documents, advance)
            _add([growing.get(part.what) for part in parts], documents, tokenizer)
        for one in growing.values():
            one.close(notes)
    finally:
        for one in growing.values():
            one.drop()


def _counted(documents: Iterable[str], advance: Callable[[int], None]) -> Iterator[str]:
    for document in documents:
        advance(len(document.encode("utf-8", "replace")))
        yield document


def _add(sides: Sequence[_Growing | None], documents: Iterable[str], tokenizer: Any) -> None:
    """Tokenise documents until both sides are full: each document, then the end-of-text token if there is one.

    Those that a side has looked at before are read again at most, and for one that is None, as it is full, nothing is.
    """
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    ending = [] if end is None else [end]
    growing = [side for side in sides if side is not None]
    first = min(side.read for side in growing)
    for number, document in enumerate(islice(documents, first, None), start=first + 1):
        raw = document.encode("utf-8", "replace")  # a lone surrogate, as source code may quote, is no text
        digest = _digest(raw)
        for side in growing:
            if side.full or side.read >= number:
                continue
            side.read = number
            if side is sides[digest % HELD_OUT == 0] and raw.strip():
                # special tokens that a document spells out are text like any other
                ids = tokenizer(raw.decode(), add_special_tokens=False, split_special_tokens=True, verbose=False)
                side.add([*ids["input_ids"], *ending], len(raw), digest)
        if all(side.full for side in growing):
            break


def _digest(document: bytes) -> int:
    """The first 64 bits of the sha256, which say on which side a document is."""
    return int.from_bytes(hashlib.sha256(document).digest()[:8], "little")


def _say(name: str, parts: tuple[_Part, _Part], corpus: Corpus) -> None:
    """Log what was left out, skipped or repaired, and how many documents are there more than once."""
    notes = max((part.side for part in parts), key=lambda side: side.read).notes
    for line in (*corpus.left_out, *notes):
        log.warning("domain %s: %s", name, line)
    count = sum(len(part.side.table) for part in parts)
    twice = count - sum(len(np.unique(part.side.table["digest"])) for part in parts)
    if twice:
        log.warning("domain %s: %s of %s documents repeat an earlier one", name, f"{twice:,}", f"{count:,}")


def _check(name: str, train: _Part, held_out: _Part) -> None:
    for part in (train, held_out):
        if part.tokens < part.block_size:
            lack = f"{part.tokens} {part.what} tokens are not enough for one block of {part.block_size}"
            raise DataError(f"domain {name!r}: {lack} ({_lacking(part, train, held_out)})")
    if train.tokens < (train.needs or 0):
        raise DataError(f"domain {name!r}: there are {train.tokens} training tokens, {train.budget} were asked for")
    if held_out.tokens < (held_out.needs or 0):
        log.warning("domain %s: %d held-out tokens, %d were asked for", name, held_out.tokens, held_out.budget)


def _lacking(part: _Part, train: _Part, held_out: _Part) -> str:
    """How much was read, and how much more text of its kind has a block on this side."""
    tables = [p.side.table for p in (train, held_out)]
    read = f"documents read: {part.side.read}"
    count, tokens = sum(map(len, tables)), sum(int(table["tokens"].sum()) for table in tables)
    if not count:
        return f"{read}; none has text"
    share = 1 / HELD_OUT if part is held_out else 1 - 1 / HELD_OUT
    more = math.ceil(max((part.block_size - part.tokens) / (tokens / count), 1) / share)  # one document at least
    size = more * sum(int(table["size"].sum()) for table in tables) / count
    none = "none of them, by the hash of its content" if part is held_out and not len(part.side.table) else ""
    rule = f"about one in {HELD_OUT} is held out{', ' + none if none else ''}"
    return f"{read}; {rule}; some {more:,} more like them, {size:,.0f} bytes, or a smaller block_size, are needed"


def _fingerprint(tokenizer: Any) -> str:
    """Changes with the ids that the tokenizer gives to a text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.loads(backend.to_str()) if backend is not None else tokenizer.get_vocab()
    rules = {k: v for k, v in rules.items() if k not in ("truncation", "padding")}  # the last call's, not its own
    ends = [type(tokenizer).__name__, tokenizer.eos_token_id, tokenizer.sep_token_id]
    return hashlib.sha256(json.dumps([rules, *ends], sort_keys=True).encode()).hexdigest()
