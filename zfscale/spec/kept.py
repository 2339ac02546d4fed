"""Remembers what was made of objects, so that what a hundred thousand trials share is looked at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from zfscale.block import Block

MOST = 10_000  # results that are kept: an object that one trial alone has is not seen again

T = TypeVar("T")


class Kept(Generic[T]):
    """Results by the objects that they were made of, which count as the same only if they are one object.

    >>> lengths, name = Kept[int](), "zo-sgd"
    >>> lengths.of((name,), lambda: len(name)), lengths.of((name,), lambda: 0)
    (6, 6)
    """

    def __init__(self) -> None:
        self._made: dict[tuple[int, ...], tuple[tuple[object, ...], T]] = {}  # with the objects, whose ids are in use

    def of(self, objects: tuple[object, ...], make: Callable[[], T]) -> T:
        """What was made of the objects before; else it is made now."""
        key = tuple(map(id, objects))
        found = self._made.get(key)
        if found is not None:
            return found[1]
        made = make()
        if len(self._made) < MOST:
            self._made[key] = (objects, made)
        return made


class Given:
    """The names of the fields that blocks were given: equal sets, 0.7 KB each, are one object."""

    def __init__(self) -> None:
        self._sets: dict[frozenset[str], set[str]] = {}

    def share(self, block: Block) -> None:
        """Let a block have the set of those before. NOTE: pydantic changes the set of none but its own copies."""
        given = block.model_fields_set
        object.__setattr__(block, "__pydantic_fields_set__", self._sets.setdefault(frozenset(given), given))
