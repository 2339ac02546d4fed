"""`zfscale run --dry-run`: what would run, and what it would cost."""

from __future__ import annotations

from zfscale.results.missing import Retry, missing
from zfscale.results.plan import label
from zfscale.spec import Sweep
from zfscale.trial import cost as plan
from zfscale.trial.inputs import read


def describe(sweep: Sweep, retry_failed: Retry = False, continue_stopped: bool = False) -> str:
    """One line a trial: id, what it is, expected training forwards and peak memory; then the totals."""
    todo = {t.trial_id for t in missing(sweep, retry_failed, continue_stopped)}
    inputs = read(sweep, sweep.trials)
    lines, least, most = [], 0, 0
    for spec in sweep.trials:
        cost = plan.cost(spec, inputs)
        state = "to run" if spec.trial_id in todo else "done"
        if spec.trial_id in todo:
            least, most = least + cost.least, most + cost.most
        forwards = _range(cost.least, cost.most)
        lines.append(
            f"{spec.trial_id}  {state:6}  {label(spec):45}  {forwards:>13} forwards  {cost.memory_bytes >> 20:>6} MiB"
        )
    total = f"{len(sweep.trials)} trials, {len(todo)} to run, {_range(least, most)} training forwards"
    return "\n".join([*lines, f"{total}; memory is an estimate a worker"])


def _range(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least}-{most}"
