"""Documents with what tells them from any others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from zfscale.data.notes import Notes


@dataclass(frozen=True)
class Corpus:
    """Documents that are read anew at every call.

    `identity` is plain data for a cache key; `left_out` says what finding the source passed over; `size` is in bytes,
    None where nobody knows.
    """

    identity: Any
    reader: Callable[[Notes], Iterator[str]]
    left_out: tuple[str, ...] = ()
    size: int | None = None

    def documents(self, notes: Notes | None = None) -> Iterator[str]:
        """All documents; what is skipped or repaired is counted in `notes`."""
        return self.reader(Notes() if notes is None else notes)
