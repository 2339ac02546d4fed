"""Text domains: documents in, token blocks in memory out; what was tokenised once is read from a cache.

Nothing here needs torch. Shapes: N training blocks, M held-out blocks, B tokens a block.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zfscale.errors import DataError
from zfscale.streams.corpora import DOMAINS, find

__all__ = ["DOMAINS", "TextDomain", "default_cache", "load_domain"]

HELD_OUT = 10  # one document of so many is held out
FORMAT = 2  # of the cache; also to be raised when the documents of an embedded domain change

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
    are read until both are filled, and no further. A document whose content hashes to 0 modulo `HELD_OUT` never
    trains, whatever the budgets. `tokenizer` is transformers'; `cache` a directory, by default `default_cache()`.
    Errors: DataError if there is no text, or less than a block or than the training budget.
    """
    for what, budget in (("training", tokens or block_size), ("held-out", held_out_tokens)):
        if budget < block_size:
            raise DataError(
                f"domain {name!r}: a budget of {budget} {what} tokens is less than one block of {block_size}"
            )
    corpus = find(source)
    key = [FORMAT, _fingerprint(tokenizer), block_size, tokens or 0, held_out_tokens, corpus.identity]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    entry = (Path(cache).expanduser() if cache else default_cache()) / digest
    arrays = _read(entry)
    if arrays is None:
        train = _Part("training", block_size, tokens or None)
        held_out = _Part("held-out", block_size, held_out_tokens)
        read = _fill(train, held_out, corpus.documents(), tokenizer)
        arrays = _checked(name, train, held_out, read)
        _write(entry, arrays)
    return TextDomain(name, arrays["train"], arrays["held_out"], float(arrays["bytes_per_token"]))


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/zfscale/text`, by default `~/.cache/zfscale/text`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "zfscale" / "text"


@dataclass
class _Part:
    """One side of the split while it fills; `budget` is in tokens, None for no end."""

    what: str
    block_size: int
    budget: int | None
    texts: list[np.ndarray] = field(default_factory=list)
    tokens: int = 0
    size: int = 0  # bytes of the texts

    @property
    def needs(self) -> int | None:
        """Tokens of the whole blocks that the budget allows."""
        return None if self.budget is None else self.budget - self.budget % self.block_size

    @property
    def full(self) -> bool:
        return self.needs is not None and self.tokens >= self.needs

    def add(self, ids: list[int], size: int) -> None:
        self.texts.append(np.asarray(ids, dtype=np.int32))
        self.tokens += len(ids)
        self.size += size

    def blocks(self) -> np.ndarray:
        """int32 [blocks, block_size]; what does not fill a block is left out."""
        take = min(self.tokens, self.tokens if self.needs is None else self.needs)
        flat = np.concatenate([*self.texts, np.empty(0, np.int32)])
        return flat[: take - take % self.block_size].reshape(-1, self.block_size)


def _fill(train: _Part, held_out: _Part, documents: Iterator[str], tokenizer: Any) -> int:
    """Tokenise documents until both parts are full: each document, then the end-of-text token if there is one.

    Returns the number of documents read.
    """
    read = 0
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    ending = [] if end is None else [end]
    for document in documents:
        read += 1
        raw = document.encode("utf-8", "replace")  # a lone surrogate, as source code may quote, is no text
        part = held_out if _is_held_out(raw) else train
        if raw.strip() and not part.full:
            # special tokens that a document spells out are text like any other
            ids = tokenizer(raw.decode(), add_special_tokens=False, split_special_tokens=True, verbose=False)
            part.add([*ids["input_ids"], *ending], len(raw))
        if train.full and held_out.full:
            break
    return read


def _is_held_out(document: bytes) -> bool:
    return int.from_bytes(hashlib.sha256(document).digest()[:8], "little") % HELD_OUT == 0


def _checked(name: str, train: _Part, held_out: _Part, read: int) -> dict[str, np.ndarray]:
    for part in (train, held_out):
        if part.tokens < part.block_size:
            lack = f"{part.tokens} {part.what} tokens are not enough for one block of {part.block_size}"
            raise DataError(f"domain {name!r}: {lack} (documents read: {read}; about one in {HELD_OUT} is held out)")
    if train.needs is not None and train.tokens < train.needs:
        raise DataError(f"domain {name!r}: there are {train.tokens} training tokens, {train.budget} were asked for")
    if not held_out.full:
        log.warning("domain %s: %d held-out tokens, %d were asked for", name, held_out.tokens, held_out.budget)
    rate = np.float64(held_out.size / held_out.tokens)
    return {"train": train.blocks(), "held_out": held_out.blocks(), "bytes_per_token": rate}


def _fingerprint(tokenizer: Any) -> str:
    """Changes with the ids that the tokenizer gives to a text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.loads(backend.to_str()) if backend is not None else tokenizer.get_vocab()
    rules = {k: v for k, v in rules.items() if k not in ("truncation", "padding")}  # the last call's, not its own
    ends = [type(tokenizer).__name__, tokenizer.eos_token_id, tokenizer.sep_token_id]
    return hashlib.sha256(json.dumps([rules, *ends], sort_keys=True).encode()).hexdigest()


def _read(entry: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a cache entry; None if there is none that can be read."""
    try:
        return {name: np.load(entry / f"{name}.npy") for name in ("train", "held_out", "bytes_per_token")}
    except (OSError, ValueError, EOFError):
        return None


def _write(entry: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write aside, rename: another process sees all of an entry or nothing. A cache that fails costs time only."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".", dir=entry.parent))
        try:
            for name, array in arrays.items():
                np.save(aside / f"{name}.npy", array)
            if entry.exists() and _read(entry) is None:
                shutil.rmtree(entry)
            if not entry.exists():
                aside.rename(entry)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        log.warning("%s: cannot be written (%s); the text will be tokenised again", entry, error)
