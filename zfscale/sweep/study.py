"""One of Ray Tune's searchers at a cell: what it proposes and is told is written down before anyone acts on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from itertools import islice
from typing import Any

from ray.tune.result import TRAINING_ITERATION

from zfscale import registry
from zfscale.records import Status
from zfscale.results.decisions import PROPOSE, SEARCH, TOLD, Decisions
from zfscale.results.proposals import Proposed, Study, Told, Values, earlier, trials_of
from zfscale.spec import TrialSpec
from zfscale.spec.cells import Cell
from zfscale.spec.drawing import independent, written
from zfscale.sweep.searchers import points_of, shares_of, space_of


class Differs(Exception):
    """A searcher does not propose again what it is known to have proposed: its library is another version."""


class Search:
    """A search that goes on where earlier runs left it, or begins with the trials that they finished.

    Args:
        study: What earlier runs tell of it.
        decisions: The table that it is written down in.
        finished: Trial id -> spec and value of the metric, of all trials of the results that finished.
    """

    def __init__(self, study: Study, decisions: Decisions, finished: Mapping[str, tuple[TrialSpec, float]]) -> None:
        self.cell, self.decisions, self.spec = study.cell, decisions, study.cell.spec.search
        self.count, self.told = 0, set[int]()
        if study.number is not None:
            try:
                self._again(study)
            except Differs:
                study = Study(study.cell)
        if study.number is None:
            self._again(self._begun(finished))

    def propose(self) -> Proposed | None:
        """The next proposal; None once the file asks for no more."""
        if self.count >= self.spec.samples:
            return None
        one = Proposed(self.count, self._suggested(self.count))
        trials = trials_of(self.cell, one.values)
        about = {"search": self.number, "proposal": one.n, "values": one.values}
        self._keep(trials[0].trial_id if trials else "", PROPOSE, about)
        self.count += 1
        if not trials:
            self.tell(Told(one.n, Status.FAILED), "")
        return one

    def tell(self, what: Told, trial_id: str) -> None:
        """What became of a proposal; once."""
        if what.n in self.told:
            return
        about = {"search": self.number, "proposal": what.n, "status": what.status.value}
        self._keep(trial_id, TOLD, about, what.value, what.stage)
        self._learn(what)

    def _begun(self, finished: Mapping[str, tuple[TrialSpec, float]]) -> Study:
        """A search that begins now: the earlier trials, and what `random` would draw."""
        known = list(earlier(self.cell, finished))
        startup = _startup(self.cell, [values for values, _ in known])
        about = {"cell": self.cell.key, "point": self.cell.point, "with": _library(self.cell)}
        row = self._keep("", SEARCH, {**about, "known": known, "startup": startup})
        return Study(self.cell, row, known, startup)

    def _again(self, study: Study) -> None:
        """Lead a new searcher to where this study is. Errors: Differs."""
        assert study.number is not None
        self.number, self.startup, self.count, self.told = study.number, study.startup, 0, set()
        text = f"{self.spec.algorithm.seed} {self.cell.key}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        first = points_of(self.cell.searched, [*(values for values, _ in study.known), *study.startup])
        make = registry.load(self.spec.algorithm.facts.path)
        self.searcher = make(self.spec, space_of(self.cell.searched), first, seed)
        for i, (_, value) in enumerate(study.known):
            self.searcher.suggest(f"known {i}")
            self.searcher.on_trial_complete(f"known {i}", {self.spec.metric: value})
        for _, event in study.events:
            if isinstance(event, Told):
                self._learn(event)
                continue
            if dict(self._suggested(event.n)) != dict(event.values):
                raise Differs
            self.count = event.n + 1

    def _suggested(self, n: int) -> Values:
        point = self.searcher.suggest(str(n))
        return self.startup[n] if n < len(self.startup) else self.cell.drawn(shares_of(self.cell.searched, point))

    def _learn(self, what: Told) -> None:
        """Ray Tune's words for it: a trial that was stopped has reported, and completes without a result."""
        self.told.add(what.n)
        name, result = str(what.n), {self.spec.metric: what.value}
        if what.status is Status.STOPPED:
            if what.value is not None:
                self.searcher.on_trial_result(name, {**result, TRAINING_ITERATION: what.stage})
            self.searcher.on_trial_complete(name)
        elif what.status is Status.FINISHED:
            self.searcher.on_trial_complete(name, result)
        else:
            self.searcher.on_trial_complete(name, error=True)

    def _keep(
        self, trial_id: str, decision: str, about: Mapping[str, Any], value: float | None = None, stage: int = 0
    ) -> int:
        return self.decisions.add(trial_id, stage, self.spec.metric, value, decision, json.dumps(about)).number


def _startup(cell: Cell, known: list[Values]) -> list[Values]:
    """The first draws of `random` that are not known, as many as the startup still lacks."""
    search = cell.spec.search
    draws = (cell.drawn(independent(cell.searched, written(cell.point), i)) for i in range(search.samples))
    new = (values for values in draws if values not in known)
    return list(islice(new, max(search.algorithm.startup - len(known), 0)))


def _library(cell: Cell) -> str:
    """The library that proposes, with its version, for whoever reads the table."""
    name = cell.spec.search.algorithm.facts.needs
    return f"{name} {import_module(name).__version__}"
