"""Directions z(seed) of the flat vector, by slices: what every kind of them has in common.

Nothing depends on iteration order, device, sharding or a global generator, so anyone can rebuild any slice of any z.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from zfscale import registry
from zfscale.zo import catalogue
from zfscale.zo.leaves import Leaf
from zfscale.zo.philox import blocks, words_of

GROUP = 4096  # elements that are generated together, at least
CHUNK = 1 << 19  # elements generated at once in large sets: a fixed shape, and small enough to stay in cache
HALVES_PER_BLOCK = 8

Piece = tuple[int, int]  # start, stop in the flat vector
Mask = Callable[[int, int], torch.Tensor]  # (start, count) -> what z is multiplied by, [count]


class Directions:
    """Base of the kinds of direction: a subclass says in `generate` what z is.

    Every use of z in a step (both sides, the update) asks for the same elements again. Small sets are one chunk, kept
    for each of a step's `queries`; large ones are generated again, `CHUNK` elements at a time.

    Args:
        leaves: What z is a direction of: names, shapes (whole, also where weights are sharded), and places.
        device: Where z is made.
        queries: How many seeds a step uses.
        mask: What z is multiplied by.
        seed: One for all steps of a task, for what a subclass keeps over several of them.
    """

    def __init__(
        self,
        leaves: Iterable[Leaf],
        device: torch.device | str = "cpu",
        queries: int = 1,
        mask: Mask | None = None,
        seed: int = 0,
    ) -> None:
        self.leaves, self.device, self.seed, self._mask = list(leaves), torch.device(device), seed, mask
        self.total, self.step = self.leaves[-1].stop, -1
        self.chunk = CHUNK if self.total > CHUNK else -(-self.total // GROUP) * GROUP
        self._keep = 2 if self.total > CHUNK else queries + 1
        self._chunks: OrderedDict[tuple[int, int], torch.Tensor] = OrderedDict()

    def generate(self, seed: int, first: int) -> torch.Tensor:
        """float32 [chunk], new: z(seed) of elements first .. first + chunk - 1; those from `total` on do not matter.

        An element has the same bits whatever `chunk` is: a function of the seed, its place and `step` alone, with
        every operation rounded by itself (no matrix product, no sum over a dimension).
        """
        raise NotImplementedError

    def at(self, step: int) -> None:
        """The number of the step within its task that comes next, in training and in replay."""
        if step != self.step:
            self._chunks.clear()
        self.step = step

    def slice(self, seed: int, start: int, stop: int) -> torch.Tensor:
        """float32 [stop - start]: z(seed) of elements start .. stop - 1; not to be written to."""
        parts = [self._part(seed, a, b) for a, b in self.pieces(start, stop)]
        return parts[0] if len(parts) == 1 else torch.cat(parts) if parts else torch.empty(0, device=self.device)

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """The range cut where chunks end: each piece is one slice of one chunk."""
        while start < stop:
            end = min(stop, (start // self.chunk + 1) * self.chunk)
            yield start, end
            start = end

    def uniform(self, seed: int, start: int, stop: int, purpose: int) -> torch.Tensor:
        """float32 [stop - start] in [0, 1), multiples of 2^-16: half a word an element, of another purpose than z."""
        first = start // HALVES_PER_BLOCK
        count = -(-stop // HALVES_PER_BLOCK) - first
        words = torch.stack(blocks(words_of(seed), first, count, purpose, self.device), 1)
        halves = torch.stack([words & 0xFFFF, words >> 16], 2).view(-1)
        skip = start - first * HALVES_PER_BLOCK
        return halves[skip : skip + stop - start].to(torch.float32) * (1.0 / (1 << 16))

    def _part(self, seed: int, start: int, stop: int) -> torch.Tensor:
        index = start // self.chunk
        base = index * self.chunk
        return self._chunk(seed, index)[start - base : stop - base]

    def _chunk(self, seed: int, index: int) -> torch.Tensor:
        key = (seed, index)
        if key not in self._chunks:
            if len(self._chunks) >= self._keep:
                self._chunks.popitem(last=False)
            first = index * self.chunk
            z = self.generate(seed, first)
            self._chunks[key] = z if self._mask is None else z.mul_(self._mask(first, self.chunk))
        self._chunks.move_to_end(key)
        return self._chunks[key]


def make_directions(o: Any, leaves: Iterable[Leaf], **settings: Any) -> Directions:
    """Those that a sweep file's `optimizer` block names; `settings` are arguments of `Directions`."""
    facts = catalogue.optimizer(o.name).direction or catalogue.DIRECTIONS[o.noise]
    given = {name: getattr(o, name) for name in facts.arguments}
    made: Directions = registry.load(facts.path)(leaves, queries=o.queries, **settings, **given)
    return made
