"""Population based training (`search.scheduler: pbt`): what is mutated, and which trials can be members.

A member that takes over another goes on as a fork of it: a new trial with the other one's options and first steps, and
with other values of the optimizer. So members are trials whose steps a ledger gives again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from zfscale.spec.distributions import Distribution, Grid
from zfscale.spec.names import Finding
from zfscale.spec.schema import SweepSpec
from zfscale.spec.trial import TrialSpec
from zfscale.spec.yaml import Place

BLOCK = "optimizer."  # whose options a member may have other values of


def mutated(spec: SweepSpec) -> dict[str, Distribution]:
    """The paths whose values change when a trial is taken over: options of the optimizer that are drawn."""
    drawn = {path: values for path, values in spec.space.items() if not isinstance(values, Grid)}
    return {path: values for path, values in drawn.items() if path.startswith(BLOCK)}


def unbreedable(spec: SweepSpec, trials: Collection[TrialSpec]) -> dict[Place, str]:
    """What keeps the trials of a file that asks for a population from being one."""
    return dict(_unbreedable(spec, trials)) if spec.search.scheduler.takes_over else {}


def _unbreedable(spec: SweepSpec, trials: Collection[TrialSpec]) -> Iterator[Finding]:
    name, place = spec.search.scheduler.name, ("search", "scheduler")
    members = [trial for trial in trials if trial.trains]
    if spec.search.algorithm.searches:
        algorithm = spec.search.algorithm.name
        message = f"{algorithm} learns from trials that run whole, and those of {name} do not"
        yield ("search", "algorithm"), f"{message}; expected random, sobol or grid"
    elif len(members) < 2:
        yield place, f"{name}: a population of {len(members)}; expected two trials that train, or more"
    if spec.resources.workers > 1:
        yield place, f"{name}: trials of {spec.resources.workers} workers are not taken over; allowed: workers: 1"
    for trial in members:
        if trial.optimizing.first_order:
            why = f"{trial.optimizer.name} is first-order and has no ledger that another trial could go on from"
            yield place, f"{name}: {why}; expected a forward-only optimizer"
        elif trial.hybrid:
            yield place, f"{name}: of optimizer.first_order no ledger is kept; expected null in every trial that trains"
    if not mutated(spec):
        what = "no option of the optimizer is drawn, so nothing would change when a trial is taken over"
        yield ("space",), f"{what}; expected one, such as optimizer.lr: {{loguniform: [1e-5, 1e-2]}}"
    elif (path := f"{BLOCK}name") in mutated(spec):
        yield ("space", path), f"{name} changes values, not names; expected a grid, of which each member keeps its own"
