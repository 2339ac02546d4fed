"""Text domains for tests: a tokenizer that counts, a loader, and what the blocks hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from zfscale.data import text
from zfscale.data.text import TextDomain, load_domain
from zfscale.pretraining.lm_nano import byte_tokenizer

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


def load(source: Any, tokenizer: Any, tokens: int | None = None, held_out: int = BLOCK, **more: Any) -> TextDomain:
    return load_domain("poems", source, tokenizer, BLOCK, tokens, held_out, **more)


def documents(blocks: np.ndarray) -> list[bytes]:
    """What stands between the ends of text."""
    return [bytes(part[part != END].tolist()) for part in np.split(blocks.ravel(), np.flatnonzero(blocks == END))]


def same(a: TextDomain, b: TextDomain) -> bool:
    arrays = np.array_equal(a.train, b.train) and np.array_equal(a.held_out, b.held_out)
    return arrays and a.bytes_per_token == b.bytes_per_token


def is_held_out(document: str) -> bool:
    return text._digest(document.encode()) % text.HELD_OUT == 0
