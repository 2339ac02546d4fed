"""What one call of an update gets, a stretch of elements or a whole leaf, and the states that lie between its steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch

from zfscale.zo.directions.base import Piece
from zfscale.zo.leaves import Leaf
from zfscale.zo.problem import Problem
from zfscale.zo.update import State, Update


class States(Protocol):
    """The state of an update for all of the weights; the update alone knows what is in it."""

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """A range of the flat vector cut into what one call of the update gets."""
        ...

    def apply(
        self, theta: torch.Tensor, h: torch.Tensor, piece: Piece, lr: float, t: int
    ) -> tuple[torch.Tensor, State]:
        """(step, state after it) of a piece, all flat; nothing is written."""
        ...

    def keep(self, piece: Piece, state: State) -> None:
        """The step of a piece was taken: this is its state from here on."""
        ...

    def of(self, leaf: Leaf) -> State:
        """The state of a whole leaf, in the leaf's shape."""
        ...

    def start_from(self, leaf: Leaf, state: State) -> None:
        """Take over what `of` said of the same leaf, when it may have been smaller."""
        ...

    def take_over(self, other: Any) -> None:
        """Go on with the states of another of the same kind, on the same leaves; it is not to be used any more."""
        ...


class Elements:
    """The states of unit "element": vectors laid out as theta is, so that any cut of it takes the same steps."""

    def __init__(self, update: Update, problem: Problem) -> None:
        self._update, self._leaves, self.pieces = update, problem.leaves, problem.directions.pieces
        self.vectors: dict[str, torch.Tensor] = update.init(problem.leaves.flat)

    def apply(
        self, theta: torch.Tensor, h: torch.Tensor, piece: Piece, lr: float, t: int
    ) -> tuple[torch.Tensor, State]:
        """See `States`."""
        here = self._leaves.here(*piece)
        return self._update.apply(theta, h, {name: vector[here] for name, vector in self.vectors.items()}, lr, t)

    def keep(self, piece: Piece, state: State) -> None:
        """See `States`."""
        here = self._leaves.here(*piece)
        for name, value in state.items():
            self.vectors[name][here] = value

    def of(self, leaf: Leaf) -> State:
        """See `States`."""
        here = self._leaves.here(leaf.start, leaf.stop)
        return {name: vector[here].view(tuple(leaf.shape)).clone() for name, vector in self.vectors.items()}

    def start_from(self, leaf: Leaf, state: State) -> None:
        """See `States`."""
        here = self._leaves.here(leaf.start, leaf.stop)
        for name, value in state.items():
            grown(value, self.vectors[name][here].view(tuple(leaf.shape)))

    def take_over(self, other: Elements) -> None:
        """See `States`."""
        self.vectors = other.vectors


class WholeLeaves:
    """The states of unit "leaf": one of any kind for each leaf, whose update sees tensors of the leaf's shape."""

    def __init__(self, update: Update, problem: Problem) -> None:
        leaves = problem.leaves
        assert not leaves.sharded, "an update by leaves needs them whole"
        self._update = update
        self._shapes = {(leaf.start, leaf.stop): tuple(leaf.shape) for leaf in leaves if leaf.stop > leaf.start}
        self.by_leaf: dict[Piece, Any] = {
            piece: update.init(leaves.flat[slice(*piece)].view(shape)) for piece, shape in self._shapes.items()
        }

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """See `States`."""
        if (start, stop) in self._shapes:
            yield start, stop
            return
        inside = [(a, b) for a, b in self._shapes if start < b and a < stop]
        assert inside[0][0] == start, "a leaf was cut"
        assert inside[-1][1] == stop, "a leaf was cut"
        yield from inside

    def apply(
        self, theta: torch.Tensor, h: torch.Tensor, piece: Piece, lr: float, t: int
    ) -> tuple[torch.Tensor, State]:
        """See `States`."""
        shape = self._shapes[piece]
        step, state = self._update.apply(theta.view(shape), h.view(shape), self.by_leaf[piece], lr, t)
        return step.reshape(-1), state

    def keep(self, piece: Piece, state: State) -> None:
        """See `States`."""
        self.by_leaf[piece] = state

    def of(self, leaf: Leaf) -> State:
        """See `States`."""
        return self.by_leaf.get((leaf.start, leaf.stop)), tuple(leaf.shape)

    def start_from(self, leaf: Leaf, state: State) -> None:
        """See `States`. What is kept of a leaf is the update's own, so one of another shape starts anew."""
        kept, shape = state
        if shape == tuple(leaf.shape):
            self.by_leaf[leaf.start, leaf.stop] = kept

    def take_over(self, other: WholeLeaves) -> None:
        """See `States`."""
        self.by_leaf = other.by_leaf


def grown(old: torch.Tensor, new: torch.Tensor) -> None:
    """Write what was kept of a leaf into what is kept of it now: a head's old rows are its first; the rest stays 0.

    A tensor that is smaller than it was, or of other dimensions, is another leaf: nothing is written.
    """
    if old.ndim == new.ndim and all(a <= b for a, b in zip(old.shape, new.shape, strict=True)):
        new[tuple(slice(0, a) for a in old.shape)] = old


def states_of(update: Update, problem: Problem) -> Elements | WholeLeaves:
    """The states before the first step, for the update's own unit."""
    return WholeLeaves(update, problem) if update.unit == "leaf" else Elements(update, problem)
