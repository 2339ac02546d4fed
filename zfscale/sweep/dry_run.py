"""`zfscale run --dry-run`: what would run, and what it would cost."""

from __future__ import annotations

from zfscale.results.missing import Retry, check, left_of, unproposed, why_over
from zfscale.results.plan import label
from zfscale.results.proposals import known, unknown
from zfscale.spec import Sweep, TrialSpec
from zfscale.trial import cost as plan
from zfscale.trial.inputs import read


def describe(sweep: Sweep, retry_failed: Retry = False, continue_stopped: bool = False) -> str:
    """One line a trial: id, what it is, expected training forwards and peak memory; then the totals.

    Of trials that a searcher will propose, one line a cell, of a trial in the middle of its space. The forks by which
    members of a population will go on are not counted: of each, the forwards are those that its member has left.
    """
    sweep = known(sweep)
    found = check(sweep, retry_failed)
    todo = {t.trial_id for t in left_of(sweep, found, retry_failed, continue_stopped)}
    ended = dict.fromkeys((fault.trial_id for fault in found.faults), "damaged")
    ended |= {row["trial_id"]: row["status"] for row in found.rows}
    inputs = read(sweep, sweep.outline, [t for t in sweep.outline if t.trial_id in todo or t in sweep.ends])
    lines, least, most = [], 0, 0
    for spec in sweep.trials:
        cost = plan.cost(spec, inputs)
        if spec.trial_id in todo:
            least, most = least + cost.least, most + cost.most
        state = "to run" if spec.trial_id in todo else ended.get(spec.trial_id, "not run")
        lines.append(_line(spec.trial_id, state, spec, cost))
    left = unknown(sweep) if unproposed(sweep) else {}
    for spec, count in left.values():
        cost = plan.cost(spec, inputs)
        least, most = least + count * cost.least, most + count * cost.most
        lines.append(_line(f"{count:,}", "at most", spec, cost))
    more, over = sum(count for _, count in left.values()), why_over(sweep, found)
    bound = "at most " * bool(more) + "at least " * sweep.grows
    count = sweep.size if over else len(sweep.trials) + more
    total = f"{bound}{count} trials, {len(todo) + more} to run{over and f', since {over}'}"
    budget = sweep.spec.search.budget
    limits = f"; search.budget: {limited}" if budget and (limited := budget.limits) else ""
    forwards = f"{_range(least, most)} training forwards{limits}"
    return "\n".join([*lines, f"{total}, {forwards}; memory is an estimate a worker"])


def _line(name: str, state: str, spec: TrialSpec, cost: plan.Cost) -> str:
    forwards = _range(cost.least, cost.most)
    return f"{name:12}  {state:8}  {label(spec):45}  {forwards:>13} forwards  {cost.memory_bytes >> 20:>6} MiB"


def _range(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least}-{most}"
