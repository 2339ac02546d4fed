"""Sparse estimates: a mask, random but fixed by a seed, that zeroes an exact share of z's entries (Sec. 4 of ZeroFlow).

Every element has a 62-bit rank from its own counter; the `round(share * total)` lowest ranks are zeroed. Masking z
itself, rather than g afterwards, keeps the loss difference and the update on the same coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from zfscale.zo.directions.base import CHUNK
from zfscale.zo.philox import SPARSE, blocks, words_of

PER_BLOCK = 2  # elements that share a Philox block: two words a rank
BUCKET = 46  # ranks are bucketed by their bits above this: 2^16 buckets


class Sparse:
    """The mask of `total` elements with exactly round(share * total) zeros."""

    def __init__(self, seed: int, share: float, total: int, device: torch.device | str = "cpu") -> None:
        self._seed, self._device = seed, device
        self._threshold = self._cut(round(share * total), total)

    def mask(self, start: int, count: int) -> torch.Tensor:
        """float32 [count]: 0 where an element is dropped, 1 elsewhere; `start`, `count` in whole blocks."""
        return (self._ranks(start, count) > self._threshold).float()

    def _ranks(self, start: int, count: int) -> torch.Tensor:
        """Uniform integers in [0, 2^62), int64 [count]."""
        w0, w1, w2, w3 = blocks(words_of(self._seed), start // PER_BLOCK, count // PER_BLOCK, SPARSE, self._device)
        high, low = torch.stack([w0, w2], 1).view(-1), torch.stack([w1, w3], 1).view(-1)
        return (high >> 2 << 32) | low

    def _cut(self, zeros: int, total: int) -> int:
        """The rank of the last element to drop: two passes, so that memory stays at a chunk and a bucket."""
        if zeros == 0:
            return -1
        counts = sum(torch.bincount(r >> BUCKET, minlength=1 << 16) for r in self._all(total))
        assert isinstance(counts, torch.Tensor)
        below = counts.cumsum(0)
        bucket = int(torch.searchsorted(below, zeros))
        inside = torch.cat([r[r >> BUCKET == bucket] for r in self._all(total)])
        before = int(below[bucket] - counts[bucket])
        return int(inside.kthvalue(zeros - before).values)

    def _all(self, total: int) -> Iterator[torch.Tensor]:
        for start in range(0, total, CHUNK):
            count = min(CHUNK, total - start)
            yield self._ranks(start, count + count % PER_BLOCK)[:count]
