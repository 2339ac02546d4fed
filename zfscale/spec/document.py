"""A sweep file as it was read: its data, where each value came from, and the error that cites the place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zfscale.errors import SpecError
from zfscale.spec import yaml
from zfscale.spec.inheriting import Parents
from zfscale.spec.yaml import Place, dotted

LISTED = 20  # problems of one file that are listed, a line each
Problems = Mapping[Place, str]  # where -> what was given and what is allowed


@dataclass
class Document:
    """The data of a sweep file; `origins` maps a path to its line, or to the `--set` that put it there."""

    file: str
    data: dict[str, Any]
    origins: dict[Place, int | str] = field(default_factory=dict)
    opened: frozenset[str] = frozenset()  # blocks in which the file or a `--set` names something with its own options
    parents: Parents = field(default_factory=Parents)  # of those of its trials that are forks

    @classmethod
    def load(cls, file: Path) -> Document:
        """Read and parse a file whose top level is a mapping."""
        data, lines = yaml.parse(yaml.read(file), lambda line: f"{file}:{line}")
        if data is None:
            raise SpecError(f"{file}:1: the file is empty; expected a sweep: name, model, stream, method, ...")
        if not isinstance(data, dict):
            kind = "a list" if isinstance(data, list) else f"{str(data)[:40]!r}"
            raise SpecError(f"{file}:{lines[()]}: expected a mapping of keys at the top level, got {kind}")
        return cls(str(file), data, dict(lines))

    def error(self, problems: Problems) -> SpecError:
        """All problems, a line each: those of overrides, then in file order; what is beyond `LISTED` is counted."""
        places = sorted(problems, key=self._rank)
        lines = [f"{self._cite(place)}: {dotted(place)}: {problems[place]}" for place in places[:LISTED]]
        more = len(places) - LISTED
        return SpecError("\n".join([*lines, *([f"{self.file}: and {more} more"] if more > 0 else [])]))

    def has(self, place: Place) -> bool:
        """Whether the data says anything at this path."""
        tree: Any = self.data
        for key in place:
            try:
                tree = tree[key]
            except (KeyError, IndexError, TypeError):
                return False
        return True

    @property
    def forks(self) -> bool:
        """Whether any of its trials is a fork."""
        space = self.data.get("space")
        paths = [str(path).split(".")[0] for path in space] if isinstance(space, dict) else []
        return "fork" in self.data or "fork" in paths

    @property
    def overridden(self) -> bool:
        """Whether a `--set` put anything into it."""
        return any(isinstance(origin, str) for origin in self.origins.values())

    def origin(self, place: Place) -> int | str:
        """Where a path was written; for one that is missing, where the block around it was."""
        while place and place not in self.origins:
            place = place[:-1]
        return self.origins.get(place, 1)

    def _cite(self, place: Place) -> str:
        origin = self.origin(place)
        return origin if isinstance(origin, str) else f"{self.file}:{origin}"

    def _rank(self, place: Place) -> int:
        origin = self.origin(place)
        return 0 if isinstance(origin, str) else origin
