"""Where the trials of a run come from: a list, or searchers; and how fast they may come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import ray

from zfscale.results.decisions import Decisions
from zfscale.results.inputs import Known
from zfscale.results.layout import TRIALS
from zfscale.results.missing import root
from zfscale.results.plan import Plan, read
from zfscale.results.proposals import unknown
from zfscale.results.tables import rows
from zfscale.spec import Sweep, TrialSpec
from zfscale.sweep import autoscale
from zfscale.sweep.bundles import room
from zfscale.sweep.gate import Gate
from zfscale.sweep.judge import Judge
from zfscale.sweep.listed import Listed
from zfscale.sweep.population import Population
from zfscale.sweep.proposing import COLUMNS, Proposing
from zfscale.sweep.successors import Successors


def most(sweep: Sweep) -> int:
    """How many trials a run can be asked for; a search that has to begin anew proposes all of its own once more.

    Of a population this is not known.
    """
    if sweep.grows:
        return sys.maxsize
    return sweep.size + sum(sweep.spec.search.samples * len(cell.seeds) for cell in sweep.cells)


def typical(sweep: Sweep) -> list[TrialSpec]:
    """A trial such as a searcher will propose, of each cell."""
    return [cell.typical[0] for cell in sweep.cells]


def planned(sweep: Sweep, forwards: Mapping[str, float], run: str, inputs: Known | None = None) -> Plan:
    """What this run is to run, of which inputs; the forwards are those expected of each trial that is known, and of
    typical ones.

    Of inputs that this run has not read, trials of another may be interrupted.
    """
    before = read(root(sweep))
    plan = Plan.of(sweep.trials, forwards, run, unknown(sweep))
    grows = bool(sweep.cells) or sweep.grows
    return replace(plan, inputs=(before.inputs if before else {}) | (inputs or {}), grows=grows)


@contextmanager
def deciding(sweep: Sweep) -> Iterator[Decisions | None]:
    """The table of decisions, None where there is nothing to decide; at the end, all are in it."""
    if not sweep.spec.search.judged and not sweep.cells:
        yield None
        return
    with closing(Decisions(root(sweep))) as decisions:
        yield decisions


def judge_of(sweep: Sweep, plan: Plan, decisions: Decisions | None) -> Judge | None:
    """Who decides on the reports of this run's trials, None if nobody does."""
    search = sweep.spec.search
    if decisions is None or not search.judged:
        return None
    if sweep.grows:
        return Population(sweep, decisions, plan)
    return Judge(search, decisions)


def trials_for(
    sweep: Sweep, todo: Sequence[TrialSpec], plan: Plan, decisions: Decisions | None, judge: Judge | None, own: bool
) -> Listed:
    """The source of this run's trials; `own` as of `driver.drive`."""
    search = sweep.spec.search

    def over() -> bool:
        return judge is not None and judge.over

    if not sweep.cells and not search.limited and not sweep.grows:
        return Listed(todo, over)
    known = rows(root(sweep), TRIALS, [*COLUMNS, search.metric]).to_pylist()
    ids = {trial.trial_id for trial in sweep.trials} - {trial.trial_id for trial in todo}
    mine = [row for row in known if row["trial_id"] in ids]
    gate = Gate(search.budget if search.limited else None, mine, plan.forwards, _slots(sweep, own))
    if isinstance(judge, Population):
        return Successors(todo, judge, root(sweep), over, gate)
    if decisions is None or not sweep.cells:
        return Listed(todo, over, gate)
    return Proposing(sweep, todo, known, decisions, plan, over, gate)


def _slots(sweep: Sweep, own: bool) -> Callable[[], int | None]:
    """Tune would ask for a trial before there is room for it, and so before those that run have told anything."""
    grows = not own and autoscale.can_grow()
    asked = sweep.spec.resources
    return lambda: None if grows else room(asked, [n["Resources"] for n in ray.nodes() if n["Alive"]])
