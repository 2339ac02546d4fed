"""What was tokenised, on disk: of each side of a source's split, all documents as far as the source was read.

An entry serves every block size and every budget. It is one file, replaced whole: a reader sees the old one or the new
one, and of concurrent writers none loses more than time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 3  # of the cache; also to be raised when the documents of an embedded domain change

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Side:
    """Documents of one side, the first ones that the source has of it; T tokens, D documents.

    ids: int32 [T], one document after the other. tokens, sizes: int64 [D], each one's tokens and bytes of text. `read`
    counts the documents of the source, of either side, up to where this side was looked for; `ended`: it has no more.
    """

    ids: np.ndarray
    tokens: np.ndarray
    sizes: np.ndarray
    read: int = 0
    ended: bool = False

    def has(self, needs: int | None) -> bool:
        """Whether nothing is to be read for the first `needs` tokens (None: all there are)."""
        return self.ended or (needs is not None and len(self.ids) >= needs)


Sides = tuple[Side, Side]  # training, held-out
NOTHING = Side(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))


def entry(cache: Path, key: Sequence[Any]) -> Path:
    """The file of a key of plain data."""
    return cache / f"{hashlib.sha256(json.dumps([FORMAT, *key]).encode()).hexdigest()}.npz"


def read(file: Path) -> Sides:
    """The sides of an entry; `NOTHING` of either if there is none that can be read."""
    try:
        with np.load(file) as found:
            return _side(found, "train"), _side(found, "held_out")
    except FileNotFoundError:
        return NOTHING, NOTHING
    except Exception as error:  # whatever a damaged archive makes zipfile and numpy raise
        log.warning("%s: cannot be read (%s); the text will be tokenised again", file, error)
        return NOTHING, NOTHING


def write(file: Path, sides: Sides) -> None:
    """Write aside, rename. What another process has read further in the meantime stays: any side is a prefix of it.

    A cache that fails costs time only.
    """
    longest = [max(pair, key=lambda side: (side.read, side.ended)) for pair in zip(sides, read(file), strict=True)]
    arrays: dict[str, Any] = {}
    for name, side in zip(("train", "held_out"), longest, strict=True):
        arrays |= {f"{name}_{key}": value for key, value in vars(side).items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=".", dir=file.parent)
        try:
            with open(handle, "wb") as out:
                np.savez(out, **arrays)
                out.flush()
                os.fsync(handle)
            os.replace(aside, file)
        except BaseException:
            os.unlink(aside)
            raise
    except OSError as error:
        log.warning("%s: cannot be written (%s); the text will be tokenised again", file, error)


def _side(found: Any, name: str) -> Side:
    ids, tokens, sizes, read, ended = (found[f"{name}_{key}"] for key in vars(NOTHING))
    return Side(ids, tokens, sizes, int(read), bool(ended))
