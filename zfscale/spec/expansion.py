"""Every trial of a sweep file, or everything that is wrong with them.

Trials by the thousand are made of few blocks: what of a trial follows from some of its blocks is found out once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

from pydantic import ValidationError

from zfscale.garbage import uncollected
from zfscale.spec.blocks import BLOCKS, Blocks, valid
from zfscale.spec.document import Document, Problems
from zfscale.spec.fairness import unfair
from zfscale.spec.inheriting import differing
from zfscale.spec.kept import Kept
from zfscale.spec.layout import layout
from zfscale.spec.outside import Fitted, Outside
from zfscale.spec.owners import Setting, kind, setting
from zfscale.spec.population import unbreedable
from zfscale.spec.problems import explain
from zfscale.spec.schema import SweepSpec
from zfscale.spec.searchable import unsearchable
from zfscale.spec.searching import searching, unhalting, unmeasured
from zfscale.spec.space import applied, combinations, scalar_blocks, settled, source, template_of, too_many
from zfscale.spec.strays import Assignment, Strays, Unknown
from zfscale.spec.trial import TrialSpec
from zfscale.spec.trial_blocks import OPEN, OptimizerSpec
from zfscale.spec.tuned import Tuned
from zfscale.spec.yaml import Place

DECIDING = {"model", "stream", "method", "optimizer"}  # the blocks that decide which options mean something
# Trials with the same of these, optimizers of a kind, and no fork have the same problems, whatever their seed.
ALIKE = attrgetter(*(name for name in BLOCKS if name != "optimizer"))


class Checked(NamedTuple):
    """What is wrong with a trial, and what decides about its options, where that is known."""

    found: dict[Place, str]
    setting: Setting | None


def expand(document: Document, spec: SweepSpec, known: Problems) -> list[TrialSpec]:
    """Every distinct trial, first path of the space outermost; a SpecError if any combination is invalid.

    Trials that train nothing differ in no optimizer and no epochs: of those that do, there is the first of the file.

    `known` is what is wrong with the template: it is told together with what else is found.
    """
    if stopping := unsearchable(document, spec) or too_many(spec) or scalar_blocks(spec):
        raise document.error({**known, **stopping})
    with uncollected():
        expansion = Expansion(document, spec, known)
    problems = expansion.problems()
    made = list(expansion.trials.values())
    problems = problems or unmeasured(document, spec.search, made) or searching(document, spec.search, made)
    problems = problems or unhalting(spec, made) or unbreedable(spec, made)
    if problems := problems or unfair(document, spec.search, made):
        raise document.error(problems)
    return made


class Expansion:
    """The trials of a file by what makes them the same, and what is wrong with any of its combinations."""

    def __init__(self, document: Document, spec: SweepSpec, known: Problems) -> None:
        self.trials: dict[str, TrialSpec] = {}
        self._document, self._spec, self._forks = document, spec, document.forks
        self._problems, self._complete = dict(known), True
        self._template = template_of(document)
        self._outside = Outside({block: OPEN[block] for block in document.opened})
        self._strays, self._tuned = Strays(document, spec.space), Tuned(spec.tuned)
        self._blocks = Blocks()
        self._varied, self._checked = Kept[Fitted](), Kept[Checked]()
        self._kinds: dict[tuple[Any, ...], OptimizerSpec] = {}
        self._still = self._fit({block: self._template[block] for block in self._template.keys() - _varied(spec)})
        for assignments in settled(combinations(spec), self._template, self._outside, self._tuned, document.parents):
            self._add(assignments)

    def problems(self) -> dict[Place, str]:
        """Where -> what is wrong."""
        found = {**self._strays.problems(self._complete), **self._problems}
        return found | (self._tuned.unused(self._document) if self._complete else {})

    def _add(self, assignments: list[Assignment]) -> None:
        """Note the trial of a combination, or what is wrong with it."""
        if self._forks:
            inherited, unforkable = self._document.parents.inherit(applied(self._template, assignments))
            if unforkable:  # then there is more that is not known
                self._complete = False
                self._problems |= {source(self._document, assignments, place): why for place, why in unforkable.items()}
                return
            whole, unknown, wrong = self._fit(inherited)
        else:
            whole, unknown, wrong = self._fitted(assignments)
        found, decided = self._look(whole, wrong)
        if decided is None:
            self._complete = False
        else:
            self._strays.note(assignments, decided, tuple((path, Unknown(*why)) for path, *why in unknown))
        for place, message in found.items():
            self._problems.setdefault(source(self._document, assignments, place), message)

    def _fit(self, data: dict[str, Any]) -> Fitted:
        """Blocks by their data, where these are valid."""
        whole, unknown, problems = self._outside.fit(data)
        return Fitted(self._blocks.made(whole), unknown, problems)

    def _fitted(self, assignments: Iterable[Assignment]) -> Fitted:
        """The blocks of a combination; what the same assignments make of a block is made once."""
        mine: dict[str, list[Assignment]] = {}
        for assignment in assignments:
            mine.setdefault(assignment.target[0], []).append(assignment)
        whole, unknown, wrong = self._still
        for block, values in mine.items():
            part = self._varied.of(tuple(values), partial(self._part, block, values))
            whole, unknown, wrong = whole | part.whole, unknown + part.unknown, {**wrong, **part.problems}
        return Fitted(whole, unknown, wrong)

    def _part(self, block: str, assignments: Iterable[Assignment]) -> Fitted:
        """One block of a combination."""
        return self._fit({block: applied(self._template, assignments)[block]})

    def _look(self, whole: dict[str, Any], wrong: Mapping[Place, str]) -> Checked:
        """Take in a trial, if it is valid; `wrong` is what its own options have."""
        try:
            trial = TrialSpec.model_validate(whole)
        except ValidationError as error:
            found, decided = self._check(_without(valid(whole), wrong), None)
            return Checked({**wrong, **explain(TrialSpec, error), **found}, decided)
        if wrong:
            found, decided = self._check(_without(vars(trial), wrong), None)
            return Checked({**wrong, **found}, decided)
        self._blocks.given.share(trial)
        self.trials.setdefault(trial.sameness, trial)
        if trial.fork is not None:
            return self._check(vars(trial), trial)
        optimizer = self._kinds.setdefault(kind(trial.optimizer), trial.optimizer)
        return self._checked.of((optimizer, *ALIKE(trial)), lambda: self._check(vars(trial), trial))

    def _check(self, blocks: Mapping[str, Any], trial: TrialSpec | None) -> Checked:
        """Look at the blocks that are valid, and at the trial if all are."""
        found = self._blocks.between(blocks)
        if trial is not None:
            found |= dict(layout(trial, self._spec.resources))
            found |= {} if (parent := trial.parent) is None else dict(differing(trial, parent))
        return Checked(found, setting(blocks) if blocks.keys() >= DECIDING else None)


def _varied(spec: SweepSpec) -> set[str]:
    """The blocks in which trials may differ."""
    paths = (*spec.space, *(path for entry in spec.tuned for path in entry.values))
    return {path.split(".")[0] for path in paths}


def _without(blocks: Mapping[str, Any], wrong: Mapping[Place, str]) -> dict[str, Any]:
    """The blocks in which nothing is wrong."""
    names = {place[0] for place in wrong}
    return {name: block for name, block in blocks.items() if name not in names}
