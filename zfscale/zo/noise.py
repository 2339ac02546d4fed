"""Counter-based noise: z of an element is a pure function of (seed, its index in the flat vector of trainables).

Nothing depends on iteration order, device, sharding or a global generator, so anyone can rebuild any slice of any z.
A Philox block makes 128 Rademacher signs (one bit an element) or 4 Gaussians (Box-Muller).

The Gaussians use only operations that IEEE 754 rounds exactly (+, -, *, /, sqrt, integer conversions), with polynomials
of our own for log and cosine: library transcendentals differ in the last bit between vector and scalar code, which
would make z depend on chunking. So eager and compiled code give the same bits.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import torch

from zfscale.zo import compiled
from zfscale.zo.exact import sqrt
from zfscale.zo.philox import PERTURB, blocks, words_of

Key = tuple[Any, Any]  # two 32-bit words: integers or 0-dimensional tensors
Device = torch.device | str | None

ARITHMETIC = 2  # raised whenever noise or updates change in a bit: older ledgers then cannot be replayed

SIGNS_PER_BLOCK = 128
GAUSSIANS_PER_BLOCK = 4
HALVES_PER_BLOCK = 8
GROUP = 4096  # elements; a group of Gaussians stores its blocks' first values, then all second ones, ...
CHUNK = 1 << 19  # elements generated at once in large sets: a fixed shape, and small enough to stay in cache
COMPILE_FROM = 1 << 23  # elements of a trainable set from which compiled noise earns its compilation back


def rademacher(key: Key, first: Any, count: int, device: Device = None) -> torch.Tensor:
    """z_i = +-1 for elements first .. first + count - 1; float32 [count]. Both in whole groups of `GROUP`."""
    words = torch.stack(blocks(key, first // SIGNS_PER_BLOCK, count // SIGNS_PER_BLOCK, PERTURB, device), 1)
    bits = (words.to(torch.int32)[:, :, None] >> torch.arange(32, dtype=torch.int32, device=device)) & 1  # lowest first
    return (1.0 - 2.0 * bits.to(torch.float32)).view(-1)


def gaussian(key: Key, first: Any, count: int, device: Device = None) -> torch.Tensor:
    """z_i ~ N(0, 1) for elements first .. first + count - 1; float32 [count]. Both in whole groups of `GROUP`.

    Box-Muller on 24-bit uniforms: |z| <= sqrt(2 * 25 ln 2) = 5.9; P(|z| > 5.9) of a true normal is 4e-9.
    """
    w0, w1, w2, w3 = blocks(key, first // GAUSSIANS_PER_BLOCK, count // GAUSSIANS_PER_BLOCK, PERTURB, device)
    parts = (*_box_muller(w0, w1), *_box_muller(w2, w3))
    return torch.stack([p.view(-1, GROUP // GAUSSIANS_PER_BLOCK) for p in parts], 1).view(-1)


def _box_muller(u: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two independent normals from two words: r cos(2 pi v), r sin(2 pi v) with r = sqrt(-2 ln u)."""
    uniform = ((u >> 8).to(torch.float32) + 0.5) * (1.0 / (1 << 24))  # (0, 1]: never 0
    r = sqrt(-2.0 * _log(uniform))
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
    """z(seed) of a flat vector of `total` elements, by slices.

    Every use of z in a step (both sides, the update) asks for the same elements again. Small sets are one chunk, kept
    for each of a step's `queries`; large ones are generated again, `CHUNK` elements at a time, by compiled code.
    """

    def __init__(
        self, kind: str, total: int, device: torch.device | str = "cpu", queries: int = 1, mask: Mask | None = None
    ) -> None:
        self._kind, self._device, self._mask = kind, torch.device(device), mask
        self.total = total
        self._chunk_size = CHUNK if total > CHUNK else -(-total // GROUP) * GROUP
        self._keep = 2 if total > CHUNK else queries + 1
        self._chunks: OrderedDict[tuple[int, int], torch.Tensor] = OrderedDict()
        self._compiled = compiled.load(kind, CHUNK, self._device) if total >= COMPILE_FROM else None

    def slice(self, seed: int, start: int, stop: int) -> torch.Tensor:
        """float32 [stop - start]: z(seed) of elements start .. stop - 1; not to be written to."""
        parts = [self._part(seed, a, b) for a, b in self.pieces(start, stop)]
        return parts[0] if len(parts) == 1 else torch.cat(parts) if parts else torch.empty(0, device=self._device)

    def uniform(self, seed: int, start: int, stop: int, purpose: int) -> torch.Tensor:
        """float32 [stop - start] in [0, 1), multiples of 2^-16: half a word an element, of another purpose than z."""
        first = start // HALVES_PER_BLOCK
        count = -(-stop // HALVES_PER_BLOCK) - first
        words = torch.stack(blocks(words_of(seed), first, count, purpose, self._device), 1)
        halves = torch.stack([words & 0xFFFF, words >> 16], 2).view(-1)
        skip = start - first * HALVES_PER_BLOCK
        return halves[skip : skip + stop - start].to(torch.float32) * (1.0 / (1 << 16))

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The range cut where chunks end: each piece is one slice of one chunk."""
        while start < stop:
            end = min(stop, (start // self._chunk_size + 1) * self._chunk_size)
            yield start, end
            start = end

    def _part(self, seed: int, start: int, stop: int) -> torch.Tensor:
        index = start // self._chunk_size
        base = index * self._chunk_size
        return self._chunk(seed, index)[start - base : stop - base]

    def _chunk(self, seed: int, index: int) -> torch.Tensor:
        key = (seed, index)
        if key not in self._chunks:
            if len(self._chunks) >= self._keep:
                self._chunks.popitem(last=False)
            self._chunks[key] = self._generate(seed, index * self._chunk_size)
        self._chunks.move_to_end(key)
        return self._chunks[key]

    def _generate(self, seed: int, first: int) -> torch.Tensor:
        size = self._chunk_size
        if self._compiled is not None:
            z = self._compiled(seed, first)
        else:
            z = NOISES[self._kind](words_of(seed), first, size, self._device)
        return z if self._mask is None else z.mul_(self._mask(first, size))
