"""`search.scheduler`: the rules by which a sweep stops its weaker trials early, and the options of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from zfscale.spec.named import NamedBlock, Reads, by_name
from zfscale.spec.names import OneOf

MOST_BRACKETS = 20  # with the smallest usual reduction, 2, the first rung of the last is after half a million stages


@dataclass(frozen=True)
class Facts:
    """The facts of a scheduler.

    Args:
        path: That of its class; "" if it stops nothing.
        options: Those that it reads.
        takes_over: Whether trials that it stops go on as forks of others.
    """

    path: str
    options: tuple[str, ...] = ()
    takes_over: bool = False


SCHEDULERS: dict[str, Facts] = {
    "none": Facts(""),
    "asha": Facts("zfscale.sweep.rules:Asha", ("every", "grace", "reduction")),
    "hyperband": Facts("zfscale.sweep.rules:HyperBand", ("every", "grace", "reduction", "brackets")),
    "median": Facts("zfscale.sweep.rules:Median", ("every", "grace", "others")),
    "pbt": Facts("zfscale.sweep.pbt:Pbt", ("every", "grace", "quantile", "resample"), takes_over=True),
}


class SchedulerSpec(NamedBlock):
    """Which trials are stopped early, by what they report after each stage."""

    CATALOGUE: ClassVar[Mapping[str, Reads]] = SCHEDULERS

    name: Annotated[str, OneOf(tuple(SCHEDULERS))] = Field(
        default="none",
        description="none; asha (asynchronous successive halving): at each rung a trial must be among the best of "
        "those that have come there; hyperband: several asha beside each other, each with a later first rung; median: "
        "its best value so far must reach the median of the others' means; pbt (population based training): the worst "
        "take over the best, with other values of the optimizer",
    )
    every: int = Field(
        default=0,
        ge=0,
        description="training steps from one report to the next: trials are compared by their mean loss in these, the "
        "smaller the better; 0: after each stage, by `search.metric`",
    )
    grace: int = Field(
        default=1, ge=1, description="the first stage, or with `every` report, after which a trial may be stopped"
    )
    reduction: float = Field(
        default=2.0,
        gt=1,
        description="of the trials at a rung, one in so many goes on; rungs are the stages (reports) grace, "
        "grace * reduction, grace * reduction^2 ...",
    )
    brackets: int = Field(
        default=3,
        ge=1,
        le=MOST_BRACKETS,
        description="groups of trials that are compared among themselves; the first rung of the n-th is grace * "
        "reduction^(n - 1)",
    )
    others: int = Field(default=3, ge=1, description="trials that must have come as far before one is stopped")

    quantile: float = Field(
        default=0.25,
        gt=0,
        le=0.5,
        description="share of the population that is among the worst, and as large a share that is among the best",
    )
    resample: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="probability with which a value is drawn anew; otherwise a number is multiplied by 0.8 or 1.2, and "
        "another value is the one beside it in its list",
    )

    @property
    def loss(self) -> str:
        """What trials are compared by inside their stages, as the table of decisions calls it; "" for nothing.

        >>> SchedulerSpec(name="asha", every=50).loss
        'loss of 50 steps'
        """
        return f"loss of {self.every} steps" if self.every else ""

    @property
    def takes_over(self) -> bool:
        """Whether trials that it stops go on as forks of others."""
        return SCHEDULERS[self.name].takes_over

    @property
    def path(self) -> str:
        """The path of its class; "" if it stops nothing."""
        return SCHEDULERS[self.name].path


Scheduler = Annotated[SchedulerSpec, BeforeValidator(by_name, json_schema_input_type=str | SchedulerSpec)]
