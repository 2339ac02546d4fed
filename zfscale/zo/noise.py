"""Counter-based noise: z of an element is a pure function of (seed, its index in the flat vector of trainables).

The generator is Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
with the seed as its 64-bit key and, as its 128-bit counter, (block index: 64 bits, purpose: 32 bits, 0). A block's
four words make 128 Rademacher signs (one bit an element) or 4 Gaussians (Box-Muller). Nothing depends on iteration
order, device, sharding or a global generator, so anyone can rebuild any slice of any z.

Everything is torch integer arithmetic, exact on every device. The Gaussians use only operations that IEEE 754 rounds
exactly (+, -, *, /, sqrt, integer conversions), with polynomials of our own for log and cosine: library
transcendentals differ in the last bit between vector and scalar code, which would make z depend on chunking.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import torch

from zfscale.zo.leaves import Leaf, Leaves

Words = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
Ints = tuple[int, int, int, int]
Counter = TypeVar("Counter", Words, Ints)

MASK = 0xFFFFFFFF
M0, M1 = 0xD2511F53, 0xCD9E8D57  # multipliers
W0, W1 = 0x9E3779B9, 0xBB67AE85  # Weyl increments of the key
ROUNDS = 10

# Purposes: streams of the same seed that must be independent of each other.
PERTURB, DERIVE, SPARSE = range(3)

SIGNS_PER_BLOCK = 128
GAUSSIANS_PER_BLOCK = 4
CHUNK = 1 << 20  # elements generated at once; a multiple of both of the above


def philox(counter: Counter, key: tuple[int, int]) -> Counter:
    """Philox 4x32-10 of four unsigned 32-bit words: Python integers, or int64 tensors that hold them."""
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


def blocks(seed: int, first: int, count: int, purpose: int, device: torch.device | str = "cpu") -> Words:
    """Words of the blocks first .. first + count - 1 of `seed`: four int64 tensors [count]."""
    index = torch.arange(first, first + count, dtype=torch.int64, device=device)
    zero = torch.zeros_like(index)
    return philox((index & MASK, (index >> 32) & MASK, zero + purpose, zero), (seed & MASK, (seed >> 32) & MASK))


def rademacher(seed: int, start: int, count: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """z_i = +-1 for elements start .. start + count - 1; float32 [count]. `start`, `count` in whole blocks."""
    words = torch.stack(blocks(seed, start // SIGNS_PER_BLOCK, count // SIGNS_PER_BLOCK, PERTURB, device), 1)
    octets = words.to(torch.int32).view(torch.uint8)  # [blocks, 16], lowest byte first
    return _signs(device)[octets.int()].view(-1)


def _signs(device: torch.device | str) -> torch.Tensor:
    """Row b holds the 8 signs of byte b, lowest bit first, bit 1 as -1; float32 [256, 8]."""
    octet = torch.arange(256, device=device)[:, None]
    return 1.0 - 2.0 * ((octet >> torch.arange(8, device=device)) & 1).float()


def gaussian(seed: int, start: int, count: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """z_i ~ N(0, 1) for elements start .. start + count - 1; float32 [count]. `start`, `count` in whole blocks.

    Box-Muller on 24-bit uniforms: |z| <= sqrt(2 * 25 ln 2) = 5.9; P(|z| > 5.9) of a true normal is 4e-9.
    """
    w0, w1, w2, w3 = blocks(seed, start // GAUSSIANS_PER_BLOCK, count // GAUSSIANS_PER_BLOCK, PERTURB, device)
    a = _box_muller(w0, w1)
    b = _box_muller(w2, w3)
    return torch.stack([*a, *b], 1).reshape(-1)


def derive(seed: int, *path: int) -> int:
    """A child seed, 63 bits: independent of the parent's draws and of every other path's.

    Each index of `path` (task, step, query, say) is folded in by one Philox block of its own.
    """
    for index in path:
        counter: Ints = (index & MASK, (index >> 32) & MASK, DERIVE, 0)
        w0, w1, _, _ = philox(counter, (seed & MASK, (seed >> 32) & MASK))
        seed = (w0 << 31) | (w1 >> 1)
    return seed


def _box_muller(u: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two independent normals from two words: r cos(2 pi v), r sin(2 pi v) with r = sqrt(-2 ln u)."""
    uniform = ((u >> 8).to(torch.float32) + 0.5) * (1.0 / (1 << 24))  # (0, 1]: never 0
    r = torch.sqrt(-2.0 * _log(uniform))
    cos, sin = _cos_sin(v)
    return r * cos, r * sin


def _log(x: torch.Tensor) -> torch.Tensor:
    """Natural logarithm of float32 in (0, 1], absolute error below 1e-6: exponent + atanh series of the mantissa.

    ln m = 2 atanh(s), s = (m - 1)/(m + 1), with m in [sqrt(1/2), sqrt 2) so that |s| < 0.172.
    """
    bits = x.view(torch.int32)
    shifted = bits - 0x3F3504F3  # bits of sqrt(1/2)
    exponent = shifted >> 23
    m = (bits - (exponent << 23)).view(torch.float32)
    s = (m - 1.0) / (m + 1.0)
    t = s * s
    series = ((t * (1 / 9) + 1 / 7) * t + 1 / 5) * t * t + (t * (1 / 3)) + 1.0
    return exponent.to(torch.float32) * math.log(2.0) + 2.0 * s * series


def _cos_sin(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cos and sin of 2 pi v / 2^32 for a 32-bit word v: top two bits choose the quadrant, Taylor does the rest.

    The angle within the quadrant is centred, |a| <= pi/4, so degree 9 leaves errors below 3e-7.
    """
    quadrant = (v >> 30) & 3
    a = (((v >> 6) & 0xFFFFFF).to(torch.float32) + (0.5 - (1 << 23))) * (math.pi / (1 << 25))
    t = a * a
    s = (((t * (1 / 362880) - 1 / 5040) * t + 1 / 120) * t - 1 / 6) * t * a + a
    c = (((t * (1 / 40320) - 1 / 720) * t + 1 / 24) * t - 1 / 2) * t + 1.0
    # The quadrants are turned by pi/4 as a whole, which leaves the angle uniform.
    swap = (quadrant & 1) == 1
    cos = torch.where(swap, s, c)
    sin = torch.where(swap, c, s)
    minus_cos = (quadrant == 1) | (quadrant == 2)
    return torch.where(minus_cos, -cos, cos), torch.where(quadrant >= 2, -sin, sin)


NOISES: dict[str, Callable[..., torch.Tensor]] = {"rademacher": rademacher, "gaussian": gaussian}


Mask = Callable[[int, int], torch.Tensor]  # (start, count) -> what z is multiplied by, [count]


class Noise:
    """Slices of z(seed), generated `CHUNK` elements at a time; the last `keep` chunks are kept.

    Every use of z in a step (both sides, the update) asks for the same slices again. With more chunks kept than the
    step has queries, a trainable set that fits one chunk is generated once a step and query, a larger one once a
    pass, and memory stays at `keep` chunks.
    """

    def __init__(self, kind: str, device: torch.device | str = "cpu", keep: int = 2, mask: Mask | None = None) -> None:
        self._mask = mask
        self._generate = NOISES[kind]
        self._device = device
        self._keep = keep
        self._chunks: OrderedDict[tuple[int, int, int], torch.Tensor] = OrderedDict()
        self._views: OrderedDict[int, dict[str, torch.Tensor]] = OrderedDict()

    def of_leaf(self, seed: int, leaf: Leaf, leaves: Leaves) -> torch.Tensor:
        """The part of z(seed) for one of `leaves`, in its shape, float32; where they fit one chunk, cut up once."""
        if leaves.total > CHUNK:
            return self.slice(seed, leaf.start, leaf.count, leaves.total).view(leaf.parameter.shape)
        if seed not in self._views:
            if len(self._views) >= self._keep:
                self._views.popitem(last=False)
            self._views[seed] = leaves.split(self.slice(seed, 0, leaves.total, leaves.total))
        return self._views[seed][leaf.name]

    def slice(self, seed: int, start: int, count: int, total: int) -> torch.Tensor:
        """float32 [count]: z of elements start .. start + count - 1 of a flat vector of `total` elements."""
        first, last = start // CHUNK, max(start, start + count - 1) // CHUNK
        parts = []
        for index in range(first, last + 1):
            base = index * CHUNK
            chunk = self._chunk(seed, index, total)
            parts.append(chunk[max(start - base, 0) : min(start + count - base, CHUNK)])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _chunk(self, seed: int, index: int, total: int) -> torch.Tensor:
        base = index * CHUNK
        length = min(CHUNK, -(-(total - base) // SIGNS_PER_BLOCK) * SIGNS_PER_BLOCK)
        key = (seed, index, length)
        if key not in self._chunks:
            if len(self._chunks) >= self._keep:
                self._chunks.popitem(last=False)
            z = self._generate(seed, base, length, self._device)
            self._chunks[key] = z if self._mask is None else z.mul_(self._mask(base, length))
        self._chunks.move_to_end(key)
        return self._chunks[key]
