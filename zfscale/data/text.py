"""Text domains: documents in, token blocks in memory out; what was tokenised once is read from a cache.

Nothing here needs torch. Shapes: N training blocks, M held-out blocks, B tokens a block.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from zfscale.data import token_cache
from zfscale.data.corpora import DOMAINS, find
from zfscale.data.token_cache import Side
from zfscale.errors import DataError

__all__ = ["DOMAINS", "TextDomain", "default_cache", "load_domain"]

HELD_OUT = 10  # one document of so many is held out

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextDomain:
    """A domain as blocks of token ids: train int32 [N, B], held_out int32 [M, B].

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
    """Read the domain `name` from `source`: a name of `DOMAINS`, a hub id, or `{path: GLOB, format: text}`.

    `tokens` is the training budget (0 or None: all there is), cut to whole blocks, as is `held_out_tokens`. Documents
    are read until both are filled, and no further; each is tokenised once, whatever is asked for later. One whose
    content hashes to 0 modulo `HELD_OUT` never trains, whatever the budgets. `tokenizer` is transformers'; `cache` a
    directory, by default `default_cache()`.
    Errors: DataError if there is no text, or less than a block or than the training budget.
    """
    for what, budget in (("training", tokens or block_size), ("held-out", held_out_tokens)):
        if budget < block_size:
            raise DataError(
                f"domain {name!r}: a budget of {budget} {what} tokens is less than one block of {block_size}"
            )
    where = Path(cache).expanduser() if cache else default_cache()
    corpus = find(source, where)
    file = token_cache.entry(where, [_fingerprint(tokenizer), corpus.identity])
    train, held_out = _Part("training", block_size, tokens or None), _Part("held-out", block_size, held_out_tokens)
    train.side, held_out.side = token_cache.read(file)
    if not (train.full and held_out.full):
        _read_on((train, held_out), corpus.documents(), tokenizer)
        token_cache.write(file, (train.side, held_out.side))
    _check(name, train, held_out)
    return TextDomain(name, train.blocks(), held_out.blocks(), held_out.bytes_per_token)


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/zfscale/text`, by default `~/.cache/zfscale/text`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "zfscale" / "text"


@dataclass
class _Part:
    """What is asked of one side of the split, and what of it is there; `budget` is in tokens, None for no end."""

    what: str
    block_size: int
    budget: int | None
    side: Side = token_cache.NOTHING

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
        return self.side.ids[: take - take % self.block_size].reshape(-1, self.block_size).copy()

    @property
    def bytes_per_token(self) -> float:
        """Of the first documents that have the tokens needed, or of all."""
        ends = np.cumsum(self.side.tokens)
        count = len(ends) if self.needs is None else 1 + int(np.searchsorted(ends, self.needs))
        return float(self.side.sizes[:count].sum() / self.side.tokens[:count].sum())


class _Growth:
    """A part while documents are added to it."""

    def __init__(self, part: _Part) -> None:
        self._part, self.read, self.full = part, part.side.read, part.full
        self._ids: list[np.ndarray] = []
        self._sizes: list[int] = []
        self._have = part.tokens

    def add(self, ids: list[int], size: int) -> None:
        self._ids.append(np.asarray(ids, dtype=np.int32))
        self._sizes.append(size)
        self._have += len(ids)
        self.full = self._part.needs is not None and self._have >= self._part.needs

    def close(self) -> None:
        """The part has all that was added; if it is not full, the source has no more."""
        old, tokens = self._part.side, [len(ids) for ids in self._ids]
        self._part.side = Side(
            np.concatenate([old.ids, *self._ids]),
            np.concatenate([old.tokens, np.array(tokens, np.int64)]),
            np.concatenate([old.sizes, np.array(self._sizes, np.int64)]),
            self.read,
            old.ended or not self.full,
        )


def _read_on(parts: tuple[_Part, _Part], documents: Iterator[str], tokenizer: Any) -> None:
    """Tokenise documents until both parts are full: each document, then the end-of-text token if there is one.

    Those that a part has looked at before are read again at most, and a full part's are left alone.
    """
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    ending = [] if end is None else [end]
    growing = [_Growth(part) for part in parts]
    first = min(part.read for part in growing if not part.full)
    for number, document in enumerate(islice(documents, first, None), start=first + 1):
        raw = document.encode("utf-8", "replace")  # a lone surrogate, as source code may quote, is no text
        side = growing[_is_held_out(raw)]
        for part in growing:
            if part.full or part.read >= number:
                continue
            part.read = number
            if part is side and raw.strip():
                # special tokens that a document spells out are text like any other
                ids = tokenizer(raw.decode(), add_special_tokens=False, split_special_tokens=True, verbose=False)
                part.add([*ids["input_ids"], *ending], len(raw))
        if all(part.full for part in growing):
            break
    for part in growing:
        part.close()


def _is_held_out(document: bytes) -> bool:
    return int.from_bytes(hashlib.sha256(document).digest()[:8], "little") % HELD_OUT == 0


def _check(name: str, train: _Part, held_out: _Part) -> None:
    for part in (train, held_out):
        if part.tokens < part.block_size:
            lack = f"{part.tokens} {part.what} tokens are not enough for one block of {part.block_size}"
            read = f"documents read: {part.side.read}; about one in {HELD_OUT} is held out"
            raise DataError(f"domain {name!r}: {lack} ({read})")
    if train.tokens < (train.needs or 0):
        raise DataError(f"domain {name!r}: there are {train.tokens} training tokens, {train.budget} were asked for")
    if held_out.tokens < (held_out.needs or 0):
        log.warning("domain %s: %d held-out tokens, %d were asked for", name, held_out.tokens, held_out.budget)


def _fingerprint(tokenizer: Any) -> str:
    """Changes with the ids that the tokenizer gives to a text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.loads(backend.to_str()) if backend is not None else tokenizer.get_vocab()
    rules = {k: v for k, v in rules.items() if k not in ("truncation", "padding")}  # the last call's, not its own
    ends = [type(tokenizer).__name__, tokenizer.eos_token_id, tokenizer.sep_token_id]
    return hashlib.sha256(json.dumps([rules, *ends], sort_keys=True).encode()).hexdigest()
