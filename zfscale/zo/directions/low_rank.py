"""Low-rank directions: z of a matrix is a product of two thin ones, so that its step has few degrees of freedom.

LOZO (Chen et al. 2024, arXiv 2410.07698) and EGGROLL (Sarkar et al. 2025, arXiv 2511.16652) perturb so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from zfscale.zo.directions.base import GROUP, Directions, Piece
from zfscale.zo.directions.dense import gaussian
from zfscale.zo.leaves import Leaf
from zfscale.zo.philox import words_of

LEFT, RIGHT, REST = 16, 17, 18  # purposes of the words of U, of V, and of leaves that are no matrix


@dataclass(frozen=True)
class Part:
    """A leaf's elements of z, and where its normal numbers begin among those of all leaves, by purpose."""

    start: int
    stop: int
    columns: int  # of a matrix; 0 for a leaf that is none
    begins: dict[int, int]

    def needs(self, first: int, last: int, rank: int) -> dict[int, Piece]:
        """The ranges of normal numbers, by purpose, that elements first .. last - 1 of it depend on."""
        if not self.columns:
            return {REST: (self.begins[REST] + first, self.begins[REST] + last)}
        top, bottom = first // self.columns, -(-last // self.columns)
        left, right = self.begins[LEFT], self.begins[RIGHT]
        return {LEFT: (left + top * rank, left + bottom * rank), RIGHT: (right, right + self.columns * rank)}


class LowRank(Directions):
    """z = U V' / sqrt(rank) of an m x n matrix, U [m, rank] and V [n, rank] standard normal; of other leaves, normal.

    So every element of z has mean 0 and variance 1, and no two are correlated. A leaf of more dimensions, such as the
    kernel of a convolution, is the matrix of its first dimension by all the others; where one side is 1, it is none.

    NOTE: LOZO keeps V for some steps, perturbs by eps U V' and divides its estimate by the rank. Here both factors are
    drawn for every seed, as in EGGROLL, and sqrt(rank) is in z: c z is LOZO's estimate at eps / sqrt(rank).
    """

    def __init__(self, *args: Any, rank: int, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._rank, self._parts = rank, []
        begins = dict.fromkeys((LEFT, RIGHT, REST), 0)
        for leaf in self.leaves:
            rows, columns = _matrix(leaf)
            self._parts.append(Part(leaf.start, leaf.stop, columns, dict(begins)))
            used = {LEFT: rows * rank, RIGHT: columns * rank} if columns else {REST: leaf.stop - leaf.start}
            begins |= {purpose: begins[purpose] + count for purpose, count in used.items()}

    def generate(self, seed: int, first: int) -> torch.Tensor:
        """See `Directions`."""
        z, last = torch.zeros(self.chunk, device=self.device), first + self.chunk
        inside = [part for part in self._parts if part.start < last and first < part.stop]
        cuts = [(part, max(part.start, first), min(part.stop, last)) for part in inside]
        needs = [part.needs(a - part.start, b - part.start, self._rank) for part, a, b in cuts]
        drawn = {purpose: self._normals(seed, purpose, needs) for purpose in (LEFT, RIGHT, REST)}
        for (part, a, b), ranges in zip(cuts, needs, strict=True):
            mine = {purpose: drawn[purpose](*piece) for purpose, piece in ranges.items()}
            z[a - first : b - first] = self._elements(part, a - part.start, b - part.start, mine)
        return z

    def _normals(self, seed: int, purpose: int, needs: list[dict[int, Piece]]) -> Callable[[int, int], torch.Tensor]:
        """The normal numbers of a purpose, by ranges; those of leaves in a row are in a row, so they are drawn once."""
        ranges = [need[purpose] for need in needs if purpose in need]
        if not ranges:
            return lambda start, stop: torch.empty(0)
        first = ranges[0][0] // GROUP * GROUP
        count = -(-(ranges[-1][1] - first) // GROUP) * GROUP
        drawn = gaussian(words_of(seed), first, count, self.device, purpose)
        return lambda start, stop: drawn[start - first : stop - first]

    def _elements(self, part: Part, first: int, last: int, drawn: dict[int, torch.Tensor]) -> torch.Tensor:
        """Elements first .. last - 1 of a leaf: a sum in a fixed order, since a matrix product's bits vary."""
        if not part.columns:
            return drawn[REST]
        u = drawn[LEFT].view(-1, self._rank) * self._rank**-0.5
        v = drawn[RIGHT].view(-1, self._rank).T.contiguous()
        rows: torch.Tensor = u[:, :1] * v[0]
        for j in range(1, self._rank):
            rows += u[:, j : j + 1] * v[j]
        skip = first % part.columns
        return rows.view(-1)[skip : skip + last - first]


def _matrix(leaf: Leaf) -> tuple[int, int]:
    """Rows and columns of a leaf; of one that is no matrix, (0, 0)."""
    rows, columns = (leaf.shape[0], prod(leaf.shape[1:])) if len(leaf.shape) > 1 else (0, 0)
    return (rows, columns) if min(rows, columns) > 1 else (0, 0)
