"""Population based training by Ray Tune's rules: who is taken over by whom, and with which values it goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import FunctionType
from typing import Any, ClassVar, NamedTuple, cast

from ray.tune.experiment import Trial
from ray.tune.schedulers import pbt

from zfscale.block import MAX_SEED
from zfscale.results.takeovers import Reached, Takeover
from zfscale.spec import SearchSpec, TrialSpec
from zfscale.spec.distributions import LAST, Distribution
from zfscale.spec.population import BLOCK
from zfscale.sweep.rules import STAGE

FACTORS = (1.2, 0.8)  # Ray Tune's, and the paper's


@dataclass(eq=False)
class Report:
    """What a trial has come to; to Ray Tune's rule, a trial of its own.

    Args:
        spec: The trial.
        reached: How far it was.
        value: Of what trials are compared by.
    """

    spec: TrialSpec
    reached: Reached
    value: float
    status: ClassVar[str] = Trial.RUNNING
    experiment_tag: ClassVar[str] = ""

    def is_finished(self) -> bool:
        """Whether nothing can go on from it any more: a ledger has every step."""
        return False


class Quantiles(pbt.PopulationBasedTraining):
    """Ray Tune's scheduler, asked for the worst and the best alone: it copies nothing, and changes no trial."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.there: dict[int, dict[Any, Any]] = defaultdict(dict)  # number of a report -> those who have come there
        self.found: tuple[list[Report], list[Report]] = ([], [])

    def get_trials(self) -> list[Any]:
        """It is its own controller: none of its trials is paused."""
        return []

    def _checkpoint_or_exploit(
        self, trial: Any, tune_controller: Any, upper_quantile: list[Any], lower_quantile: list[Any]
    ) -> None:
        self.found = (lower_quantile, upper_quantile)

    def quantiles(self, stage: int, report: Report) -> tuple[list[Report], list[Report]]:
        """The worst and the best of those that have come to this report; nobody before the burn-in has passed."""
        self.found, self._trial_state = ([], []), self.there[stage]
        trial: Any = report
        self._trial_state[trial] = pbt._PBTTrialState(trial)
        self.on_trial_result(cast(Any, self), trial, {STAGE: stage, self._metric: report.value})
        return self.found


class Verdict(NamedTuple):
    """What is decided on a report, and why."""

    why: str
    takeover: Takeover | None = None


class Pbt:
    """Decides on the reports of a population.

    Jaderberg et al. 2017, Population Based Training of Neural Networks (arXiv 1711.09846): of the trials that have come
    to a report, one that is among the worst goes on as a copy of one that is among the best, with other values.

    NOTE: Ray Tune's rule compares the last report of each trial that still runs. Along a stream of tasks these say
    little: whoever is ahead, in a harder task, is among the worst. Here trials are compared where they have made as
    many reports, and a ledger is copied up to that one, though its trial may be further, or have ended. So no trial
    waits, members take as many steps as without it, and whoever comes early meets weaker competition, as under `asha`.
    NOTE: Ray Tune's values may leave their range; these are drawn from the space, or are at its ends.

    Args:
        search: With the options.
        mutated: Dotted path -> the values that it may have.
    """

    def __init__(self, search: SearchSpec, mutated: Mapping[str, Distribution]) -> None:
        options, (metric, mode) = search.scheduler, search.compared
        self.resample, self.mutated = options.resample, mutated
        self.tune = Quantiles(
            STAGE,
            metric,
            mode,
            perturbation_interval=1,
            burn_in_period=options.grace,
            hyperparam_mutations=dict.fromkeys(mutated, ()),
            quantile_fraction=options.quantile,
            log_config=False,
        )

    def take_in(self, stage: int, report: Report) -> tuple[list[Report], list[Report]]:
        """A report, the n-th of its trial; the worst and the best of those that have made as many."""
        return self.tune.quantiles(stage, report)

    def decide(self, stage: int, report: Report, draw: Random) -> Verdict:
        """Take a report in, and say what follows from it; whatever is drawn is drawn from `draw`."""
        worst, best = self.take_in(stage, report)
        if not worst:
            few = len(self.tune.there[stage]) < 2
            return Verdict(f"{report.value:.6g}: {'the first here' if few else 'nobody is taken over yet'}")
        among = f"among the worst {len(worst)} of {len(self.tune.there[stage])} here"
        if report not in worst:
            return Verdict(f"{report.value:.6g} is not {among}")
        donor = draw.choice(best)
        values, how = self.explore(donor.spec, draw)
        what = Takeover(donor.spec.trial_id, *donor.reached, draw.randint(0, MAX_SEED), values)
        return Verdict(f"{report.value:.6g} is {among}; {what.donor} has {donor.value:.6g}: {how}", what)

    def explore(self, donor: TrialSpec, draw: Random) -> tuple[dict[str, Any], str]:
        """Other values of what is mutated than a trial has, and what was done to each, in words.

        Ray Tune's own function does it, with a generator of ours in the place of the global one.
        """
        block = donor.optimizer.filled()
        read = {f"{BLOCK}{name}": name for name in donor.optimizing.options(block)}
        now = {path: getattr(block, read[path]) for path in self.mutated if path in read}
        choices = {path: _of_ray(self.mutated[path], draw) for path in now}
        mutate = FunctionType(pbt._explore.__code__, {**pbt._explore.__globals__, "random": draw})
        found, done = mutate(now, choices, self.resample, FACTORS, None)
        values = {path: _inside(value, self.mutated[path]) for path, value in found.items()}
        return values, ", ".join(f"{path} {now[path]} ({done[path]}) -> {values[path]}" for path in now)


def _of_ray(values: Distribution, draw: Random) -> Any:
    """What Ray Tune takes for a distribution: a list, of which the values beside each other are alike, or a draw."""
    return values.all if values.options is not None else lambda: values.draw(draw.random())


def _inside(value: Any, values: Distribution) -> Any:
    """The value, or of those that could be drawn the one that is nearest to it."""
    if values.options is not None:
        return value
    return values.draw(values.share(min(max(value, values.draw(0.0)), values.draw(LAST))))
