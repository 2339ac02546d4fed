"""What members of a population took over, as the table `decisions` tells it: forks that are made while trials run.

A row `exploit` says that a trial stops at a report, and what its member goes on with. The fork's spec follows from this
row and the spec of the trial that was taken over, which the sweep file has or, again, an earlier row. In the rows of a
population the column `why` is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from zfscale.results.decisions import EXPLOIT, Decision, kept
from zfscale.results.storage import storage
from zfscale.spec import Sweep, TrialSpec
from zfscale.spec.fork import Origin
from zfscale.spec.inheriting import Parents
from zfscale.spec.outside import Outside
from zfscale.spec.space import whole_trial
from zfscale.spec.strays import Assignment
from zfscale.spec.trial_blocks import OPEN


class Reached(NamedTuple):
    """How far a trial had come when it reported: so many steps, the last of them in this task."""

    step: int
    task: int


class Takeover(NamedTuple):
    """What a member goes on with.

    Args:
        donor: Id of the trial that is taken over.
        step: How many of its steps are shared.
        task: The task of the last of these.
        seed: Of what comes after them, so that no two members go on alike.
        values: Dotted path -> value, of what is mutated.
    """

    donor: str
    step: int
    task: int
    seed: int
    values: Mapping[str, Any]

    def fork(self, donor: TrialSpec, results: str) -> TrialSpec:
        """The trial that goes on, of a sweep with these results; as a file that said so would have it."""
        parents = Parents(lambda *_: Origin(donor.to_json(), self.task, results))
        fork = {"trial": self.donor, "step": self.step, "seed": self.seed}
        values = [Assignment(tuple(path.split(".")), value, ()) for path, value in self.values.items()]
        return whole_trial({"fork": fork}, values, Outside(OPEN), parents)


def told(why: str, reached: Reached, takeover: Takeover | None = None) -> str:
    """The column `why` of a report; of a takeover, with all that its fork is made of."""
    about = {"why": why, **reached._asdict()}
    return json.dumps(about if takeover is None else about | {"takeover": takeover._asdict()})


def reached_of(row: Decision) -> Reached | None:
    """How far the trial had come at this report; None where another scheduler has decided on it."""
    try:
        about = json.loads(row.why)
        return Reached(about["step"], about["task"])
    except ValueError:
        return None


def takeover_of(row: Decision) -> Takeover | None:
    """What a row says that the member goes on with; None of any other row."""
    return Takeover(**json.loads(row.why)["takeover"]) if row.decision == EXPLOIT else None


def forks(trials: Iterable[TrialSpec], rows: Iterable[Decision], results: str) -> Iterator[TrialSpec]:
    """The forks of a population, in the order in which they were decided on.

    Those of trials that the file has no more are left out.
    """
    known = {trial.trial_id: trial for trial in trials}
    for row in rows:
        takeover = takeover_of(row)
        if takeover and row.trial_id in known and takeover.donor in known:
            fork = takeover.fork(known[takeover.donor], results)
            known[fork.trial_id] = fork
            yield fork


def with_forks(sweep: Sweep) -> Sweep:
    """A sweep with the forks by which its members have gone on in all runs; any other as it is.

    Errors: ZfscaleError if the table `decisions` is damaged.
    """
    if not sweep.grows:
        return sweep
    there = storage(sweep.spec.output.dir, sweep.spec.name)
    trials = {trial.trial_id: trial for trial in sweep.trials}
    trials |= {fork.trial_id: fork for fork in forks(sweep.trials, kept(there), str(there))}
    return replace(sweep, trials=tuple(trials.values()))
