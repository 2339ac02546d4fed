"""Options of a sweep file that mean nothing where they are given.

A value in a point's own block of a grid is an error where that point has no use for it. A value that trials share (of
the template, a --set, or a scalar path of the space) is one where no trial of the file has a use for it, so that a grid
may cross names. A shared value of the file is none where a --set chose what decides: that tries a name over the file.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from zfscale.spec.document import Document
from zfscale.spec.owners import Setting, Unused, unused
from zfscale.spec.yaml import Place


class Assignment(NamedTuple):
    """One value for one path of the template, and the place in the file that says so."""

    target: tuple[str, ...]
    value: Any
    source: Place


class Unknown(NamedTuple):
    """Why a key means nothing: what the block names has no option of this name."""

    by: str
    on: str
    owners: str  # those that it has

    def says(self, value: Any) -> str:
        """The message for a key that is given in vain."""
        return f"unknown key; {self.owners}"


class _Given(NamedTuple):
    """Where a trial has a value from; `entry` if that is a block of the space, which says more than this value."""

    place: Place
    value: Any
    entry: bool


Why = Unused | Unknown


class Strays:
    """Notes the combinations of a file, and tells what of it means nothing; trials that differ in values count once."""

    def __init__(self, document: Document, space: Iterable[str]) -> None:
        self._document = document
        self._written = frozenset(_options(document.data, space))
        self._seen: dict[Any, tuple[list[Assignment], Setting, tuple[tuple[str, Unknown], ...]]] = {}

    def note(self, assignments: list[Assignment], setting: Setting, unknown: tuple[tuple[str, Unknown], ...]) -> None:
        """A trial: what gave it its values, what decides about its options, and keys that its things do not know."""
        values = (id(a.value) if isinstance(a.value, dict) else (a.target, a.value is None) for a in assignments)
        key = (setting, unknown, *values)
        self._seen.setdefault(key, (assignments, setting, unknown))

    def problems(self, complete: bool) -> dict[Place, str]:
        """Where -> what means nothing there; unless all trials are `complete`, some use may not have been noted."""
        found: dict[Place, str] = {}
        shared: dict[str, list[tuple[_Given, Why]]] = {}
        nowhere, excused = self._written, set()
        reasons = functools.cache(unused)
        for assignments, setting, unknown in self._seen.values():
            why: dict[str, Why] = {**reasons(setting), **dict(unknown)}
            nowhere &= why.keys()
            for path in self._written & why.keys():
                given, decided = (self._given(assignments, p) for p in (path, why[path].by))
                if given is None or given.value is None:
                    continue
                if self._chosen(decided, given):
                    excused.add(path)
                elif given.entry and self._settled(decided, given):
                    found.setdefault(given.place, why[path].says(given.value))
                else:
                    shared.setdefault(path, []).append((given, why[path]))
        if complete:
            found |= {s[0][0].place: _told(s) for path, s in shared.items() if path in nowhere - excused}
        return found

    def _chosen(self, decided: _Given | None, given: _Given) -> bool:
        """Whether a --set chose what decides about a value of the file."""
        by_set = decided is not None and isinstance(self._document.origin(decided.place), str)
        return by_set and isinstance(self._document.origin(given.place), int)

    @staticmethod
    def _settled(decided: _Given | None, given: _Given) -> bool:
        """Whether a block of the space stands beside what decides, or below: else it is crossed with it."""
        in_space = decided is not None and decided.place[0] == "space"
        return not in_space or (decided is not None and decided.place[:-1] == given.place[:-1])

    def _given(self, assignments: list[Assignment], path: str) -> _Given | None:
        """Where a trial has the option at a path from; None if from nowhere, as its default."""
        block, option = path.split(".")
        for a in reversed(assignments):
            if a.target[:2] == (block, option):
                return _Given(a.source, a.value, False)
            if a.target == (block,) and isinstance(a.value, dict) and option in a.value:
                return _Given((*a.source, option), a.value[option], True)
        template = self._document.data.get(block)
        if isinstance(template, dict) and option in template:
            return _Given((block, option), template[option], False)
        return None


def _told(shared: list[tuple[_Given, Why]]) -> str:
    """The message for a value that no trial uses; of unknown keys, that of the thing with the most options."""
    given, why = max(shared, key=lambda one: len(one[1].owners) if isinstance(one[1], Unknown) else 0)
    if len({(other.on, other.owners) for _, other in shared}) > 1:
        why = why._replace(on="any trial of this file")
    return why.says(given.value)


def _options(data: dict[str, Any], space: Iterable[str]) -> Iterator[str]:
    """The dotted path of every option of a block that the file gives."""
    blocks = {block: [values] for block, values in data.items() if isinstance(values, dict) and block != "space"}
    for path in space:
        block, *option = path.split(".")[:2]
        if option:
            yield f"{block}.{option[0]}"
        else:
            blocks.setdefault(block, []).extend(_entries(data["space"][path]))
    yield from (f"{block}.{option}" for block, entries in blocks.items() for entry in entries for option in entry)


def _entries(distribution: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in distribution.values():
        yield from (value for value in values if isinstance(value, dict))
