"""What a search will run: of every cell as many candidates as the budget admits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zfscale.errors import ZfscaleError
from zfscale.spec import Sweep, TrialSpec
from zfscale.spec.algorithms import AlgorithmSpec
from zfscale.spec.fairness import replaced
from zfscale.spec.scheduling import SchedulerSpec
from zfscale.spec.schema import MAX_COMBINATIONS
from zfscale.spec.spending import BudgetSpec
from zfscale.spec.tuned import entry_of
from zfscale.spec.yaml import Place
from zfscale.trial import cost
from zfscale.trial.inputs import Inputs, read
from zfscale.tuning.candidates import candidates
from zfscale.tuning.cells import Cell, cells

UNCOUNTED = {"forward_transfer": False, "old_loss_every": None}  # of the stream


@dataclass(frozen=True)
class Candidate:
    """Values that are tried, the trials that do, one a seed, and the forwards that these take at most."""

    values: Mapping[str, Any]
    trials: tuple[TrialSpec, ...]
    forwards: int


@dataclass(frozen=True)
class Plan:
    """The candidates of each cell, and the sweep that runs them all."""

    tried: list[tuple[Cell, list[Candidate]]]
    sweep: Sweep

    def __str__(self) -> str:
        lines = [
            f"{cell}: {count(cell, tried)}, {sum(one.forwards for one in tried):,} forwards"
            for cell, tried in self.tried
        ]
        return "\n".join(
            [*lines, f"{len(self.sweep.trials)} trials; budget of each line: {self.sweep.spec.search.each:,} forwards"]
        )


def count(cell: Cell, tried: Sequence[Candidate]) -> str:
    """How many candidates are tried: "4 of 6 candidates", of grids."""
    known = "" if cell.all_candidates is None else f" of {cell.all_candidates}"
    return f"{len(tried)}{known} candidates"


def plan(sweep: Sweep) -> Plan:
    """Plan the search of a sweep file; its models and data are read.

    Raises:
        SpecError: The file gives no budget, too small a one, or values of an earlier search that this one does not
            choose; or what is wrong shows when models and data are read.
        ZfscaleError: Nothing in the file is trained, or the budget admits more trials than anyone means to run.
    """
    search = sweep.spec.search
    budget = search.each
    if budget is None:
        raise sweep.document.error(
            {("search", "budget"): "missing; expected the forwards that each optimizer may spend"}
        )
    if sweep.cells:
        message = f"{search.algorithm.name} proposes trials one by one; `zfscale tune` needs the trials of its table"
        raise sweep.document.error({("search", "algorithm"): f"{message}: expected random, sobol or grid"})
    if sweep.document.forks:
        message = "a search has seeds and held-out images of its own, so it shares no steps; allowed: no fork"
        raise sweep.document.error({("fork",): message})
    found = cells(sweep)
    if not found:
        raise ZfscaleError(f"{sweep.path}: no trial trains anything; nothing can be tuned")
    if lost := _lost(sweep, found):
        raise sweep.document.error(lost)
    inputs = read(sweep, [of_search(cell.trial, sweep, seed) for cell in found for seed in search.seeds])
    tried = [(cell, _affordable(cell, sweep, inputs, budget)) for cell in found]
    short = {str(cell): options[0].forwards for cell, options in tried if options[0].forwards > budget}
    if short:
        cell, least = max(short.items(), key=lambda pair: pair[1])
        seeds = f"{len(search.seeds)} seed{'s' * (len(search.seeds) > 1)}"
        message = f"{budget} forwards are less than one candidate of {cell} takes on {seeds}; "
        raise sweep.document.error({("search", "budget"): f"{message}expected at least {least}"})
    trials = {trial.trial_id: trial for _, options in tried for option in options for trial in option.trials}
    # At one budget, candidates run whole, and all of them.
    plain = {"scheduler": SchedulerSpec(), "algorithm": AlgorithmSpec(), "until": {}, "budget": BudgetSpec(each=budget)}
    whole = search.model_copy(update=plain)
    named = sweep.spec.model_copy(update={"name": f"{sweep.spec.name}-tune", "tuned": (), "search": whole})
    return Plan(tried, replace(sweep, spec=named, trials=tuple(trials.values()), cells=()))


def _lost(sweep: Sweep, found: Sequence[Cell]) -> dict[Place, str]:
    """Values of an earlier search that this one would use and not write: its own take the place of them all."""
    message = "an earlier search has chosen it, and this one does not; move it into the template or the space"
    entries = [(entry_of(sweep.spec.tuned, cell.trial), cell) for cell in found]
    return {
        ("tuned", i, "values", path): message
        for i, cell in entries
        if i is not None
        for path in sweep.spec.tuned[i].values.keys() - cell.ranges.keys()
    }


def of_search(trial: TrialSpec, sweep: Sweep, seed: int) -> TrialSpec:
    """The trial on held-out training images, with a seed and, unless it is listed, a class order of the search.

    What a trial measures besides, which takes forwards that no budget counts, a search does without.
    """
    stream: dict[str, Any] = {"validation": sweep.spec.search.validation, **UNCOUNTED}
    if trial.stream.class_order is None:
        stream["class_order_seed"] = seed
    data = trial.model_dump()
    return TrialSpec.from_json(json.dumps({**data, "stream": {**data["stream"], **stream}, "seed": seed}))


def _affordable(cell: Cell, sweep: Sweep, inputs: Inputs, budget: int) -> list[Candidate]:
    """The first candidates that the budget admits; the first of all even if it is too dear."""
    found: list[Candidate] = []
    for values in candidates(cell.ranges):
        trials = tuple(replaced(of_search(cell.trial, sweep, seed), values) for seed in sweep.spec.search.seeds)
        forwards = sum(cost.cost(trial, inputs).most for trial in trials)
        if found and sum(one.forwards for one in found) + forwards > budget:
            break
        if len(found) == MAX_COMBINATIONS:
            raise ZfscaleError(f"search.budget: {budget} admits more than {MAX_COMBINATIONS} candidates of {cell}")
        found.append(Candidate(values, trials, forwards))
    return found
