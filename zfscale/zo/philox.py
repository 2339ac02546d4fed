"""Philox 4x32-10, the counter-based generator under all of our randomness, and seeds derived from seeds.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. The seed is its 64-bit key; its
128-bit counter is (block index: 64 bits, purpose: 32 bits, 0). Integer arithmetic only: exact on every device.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch

Words = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
Ints = tuple[int, int, int, int]
Counter = TypeVar("Counter", Words, Ints)

MASK = 0xFFFFFFFF
M0, M1 = 0xD2511F53, 0xCD9E8D57  # multipliers
W0, W1 = 0x9E3779B9, 0xBB67AE85  # Weyl increments of the key
ROUNDS = 10

# Purposes: streams of the same seed that must be independent of each other. From 16 on, they are a direction's own.
PERTURB, DERIVE, SPARSE, ROUND = range(4)


def philox(counter: Counter, key: tuple[Any, Any]) -> Counter:
    """Philox 4x32-10 of four unsigned 32-bit words: Python integers, or int64 tensors that hold them.

    The key's two words are integers or 0-dimensional tensors.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = c0 * M0, c2 * M1  # wraps as signed, yet its 64 bits are those of the unsigned product
        c0, c1, c2, c3 = (
            ((p1 >> 32) & MASK) ^ c1 ^ k0,
            p1 & MASK,
            ((p0 >> 32) & MASK) ^ c3 ^ k1,
            p0 & MASK,
        )
        k0, k1 = (k0 + W0) & MASK, (k1 + W1) & MASK
    return c0, c1, c2, c3


def blocks(
    key: tuple[Any, Any], first: Any, count: int, purpose: int, device: torch.device | str | None = None
) -> Words:
    """Words of the blocks first .. first + count - 1 of a key (see `words_of`): four int64 tensors [count]."""
    index = torch.arange(count, dtype=torch.int64, device=device) + first
    zero = torch.zeros_like(index)
    return philox((index & MASK, (index >> 32) & MASK, zero + purpose, zero), key)


def words_of(seed: int) -> tuple[int, int]:
    """The key: a seed's low and high 32 bits."""
    return seed & MASK, (seed >> 32) & MASK


def derive(seed: int, *path: int) -> int:
    """A child seed, 63 bits: independent of the parent's draws and of every other path's.

    Each index of `path` (task, step, query, say) is folded in by one Philox block of its own.
    """
    for index in path:
        counter: Ints = (index & MASK, (index >> 32) & MASK, DERIVE, 0)
        w0, w1, _, _ = philox(counter, words_of(seed))
        seed = (w0 << 31) | (w1 >> 1)
    return seed
