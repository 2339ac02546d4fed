"""The trained weights as one flat vector: each leaf, a matrix or a vector of the model, is a range of its elements.

A process may hold all of the vector or, where weights are divided over ranks, a shard of every leaf.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch


@dataclass(frozen=True)
class Leaf:
    """Elements start .. stop - 1 of the flat vector, in the order of a tensor of `shape`.

    Elements first .. last - 1 of the vector are held by this process, from `offset` on in `Leaves.flat`.
    """

    name: str
    shape: Sequence[int]
    start: int
    stop: int
    first: int
    last: int
    offset: int


class Leaves:
    """Leaves one after the other and the tensor that holds them, `flat`.

    `flat` is the flat vector, or the held parts of it one after the other: `held` are their ranges, `here` finds them.
    """

    def __init__(self, leaves: Sequence[Leaf], flat: torch.Tensor, sharded: bool = False) -> None:
        self.flat, self.sharded, self._all = flat, sharded, leaves
        self.total = leaves[-1].stop
        self.held = [(leaf.first, leaf.last) for leaf in leaves] if sharded else [(0, self.total)]
        self._starts = [first for first, _ in self.held]
        self._offsets = [leaf.offset for leaf in leaves] if sharded else [0]

    @classmethod
    def of(cls, shapes: Mapping[str, Sequence[int]], flat: torch.Tensor) -> Leaves:
        """All of `flat`, cut into leaves of these names and shapes."""
        leaves, start = [], 0
        for name, shape in shapes.items():
            stop = start + prod(shape)
            leaves.append(Leaf(name, tuple(shape), start, stop, start, stop, start))
            start = stop
        assert flat.shape == (start,), f"{tuple(flat.shape)} is not the {start} elements of the shapes"
        return cls(leaves, flat)

    def __iter__(self) -> Iterator[Leaf]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def here(self, start: int, stop: int) -> slice:
        """Where elements start .. stop - 1 of the flat vector, within one held range, are in `flat`."""
        i = bisect_right(self._starts, start) - 1
        shift = self._offsets[i] - self._starts[i]
        return slice(start + shift, stop + shift)

    @property
    def finite(self) -> bool:
        """Whether every weight that is held here is a number."""
        return all(bool(bound.isfinite()) for bound in self.flat.aminmax())

    @property
    def attached(self) -> bool:
        """Whether `flat` still is where the weights are read from."""
        return True

    @property
    def device(self) -> torch.device:
        return self.flat.device
