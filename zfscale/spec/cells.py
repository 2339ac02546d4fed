"""Where a searcher makes its proposals: at each point of the grids, a search of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zfscale.spec.distributions import Distribution
from zfscale.spec.document import Document
from zfscale.spec.inheriting import Parents
from zfscale.spec.outside import Outside
from zfscale.spec.schema import SweepSpec
from zfscale.spec.space import SEED, grid_points, in_depth, settled, split, template_of, whole_trial
from zfscale.spec.strays import Assignment
from zfscale.spec.trial import TrialSpec
from zfscale.spec.trial_blocks import OPEN
from zfscale.spec.tuned import Tuned


@dataclass(frozen=True)
class Cell:
    """A point of all grids but `seed`'s. A proposal is run with each of the seeds.

    Args:
        spec: The sweep file.
        template: What the file says of every trial.
        opened: The blocks of it that name things with options of their own.
        fixed: The values of the grids.
        seeds: The grid of seeds; one None where the template has the seed.
        searched: The paths that proposals have values for.
        parents: Of the trials that are forks.
    """

    spec: SweepSpec
    template: dict[str, Any]
    opened: frozenset[str]
    fixed: tuple[Assignment, ...]
    seeds: tuple[int | None, ...]
    searched: Mapping[str, Distribution]
    parents: Parents

    @property
    def point(self) -> dict[str, Any]:
        """The values of the grids by their paths."""
        return {".".join(one.target): one.value for one in self.fixed}

    @cached_property
    def key(self) -> str:
        """A hash of all that decides what is proposed here, but the number of proposals and of seeds."""
        search = self.spec.search
        searched = {path: values.model_dump() for path, values in self.searched.items()}
        asked = [
            search.algorithm.model_dump(),
            search.metric,
            search.mode,
            [one.model_dump() for one in self.spec.tuned],
        ]
        text = json.dumps([self.template, self.point, searched, asked], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def trials(self, values: Mapping[str, Any]) -> list[TrialSpec]:
        """The trials of a proposal, one a seed. Errors: pydantic's, where these values do not go together."""
        outside, tuned = Outside({block: OPEN[block] for block in self.opened}), Tuned(self.spec.tuned)
        proposed = [Assignment(tuple(path.split(".")), value, ()) for path, value in values.items()]
        points = (
            in_depth([*self.fixed, *proposed, *([] if seed is None else [Assignment(SEED, seed, ())])])
            for seed in self.seeds
        )
        return [
            whole_trial(self.template, one, outside, self.parents)
            for one in settled(points, self.template, outside, tuned, self.parents)
        ]

    def drawn(self, shares: Mapping[str, float]) -> dict[str, Any]:
        """The values of the searched paths at numbers of [0, 1)."""
        return {path: values.draw(shares[path]) for path, values in self.searched.items()}

    @property
    def typical(self) -> list[TrialSpec]:
        """Trials in the middle of the space, for what can only be guessed of others."""
        return self.trials(self.drawn(dict.fromkeys(self.searched, 0.5)))


def cells(document: Document, spec: SweepSpec) -> Iterator[Cell]:
    """The cells of a file whose algorithm is a searcher; none of any other."""
    if not spec.search.algorithm.searches:
        return
    grids, searched = split(spec)
    seeds = grids.pop("seed", None)
    for fixed in grid_points(grids):
        each = (None,) if seeds is None else tuple(seeds.grid)
        template, parents = template_of(document), document.parents
        yield Cell(spec, template, document.opened, tuple(fixed), each, searched, parents)
