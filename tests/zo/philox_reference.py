"""Philox 4x32-10 as the paper writes it, in Python integers, and the noise it makes, element by element."""

from __future__ import annotations

import math

import numpy as np

SEED = 0x1234_5678_9ABC_DEF0


def reference(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """A round is: R0 = mulhi(M1, c2) ^ c1 ^ k0, and so on."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * a, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c, 2**32)
        a, b, c, d = high1 ^ b ^ k, low1, high0 ^ d ^ m, low0
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return a, b, c, d


def words(seed: int, block: int, purpose: int = 0) -> tuple[int, ...]:
    return reference((block % 2**32, block >> 32, purpose, 0), (seed % 2**32, seed >> 32))


def sign(seed: int, i: int) -> float:
    """128 to a block, lowest bit first."""
    block, within = divmod(i, 128)
    return 1.0 - 2 * (words(seed, block)[within // 32] >> within % 32 & 1)


def normal(seed: int, i: int, purpose: int = 0) -> float:
    """4 to a block; a group of 4096 holds the first values of its 1024 blocks, then their second ones, ..."""
    group, within = divmod(i, 4096)
    which, block = divmod(within, 1024)
    w = words(seed, group * 1024 + block, purpose)
    u, v = w[:2] if which < 2 else w[2:]
    radius = math.sqrt(-2 * math.log(float(np.float32((u >> 8) + 0.5)) / 2**24))  # float32, as it has 24 bits
    within_quadrant = ((v >> 6) % 2**24 + 0.5 - 2**23) * math.pi / 2**25  # the 24 bits below the quadrant's two
    angle = (v >> 30) * math.pi / 2 + within_quadrant
    return radius * (math.sin(angle) if which % 2 else math.cos(angle))


ELEMENT = {"rademacher": (sign, 0.0), "gaussian": (normal, 5e-6)}  # with the tolerance
