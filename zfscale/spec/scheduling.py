"""`search.scheduler`: the rules by which a sweep stops its weaker trials early, and the options of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from zfscale.spec.named import NamedBlock, Reads, by_name
from zfscale.spec.names import OneOf

MOST_BRACKETS = 20  # with the smallest usual reduction, 2, the first rung of the last is after half a million stages


@dataclass(frozen=True)
class Facts:
    """The facts of a scheduler: the path of its class ("" if it stops nothing), and the options that it reads."""

    path: str
    options: tuple[str, ...] = ()


SCHEDULERS: dict[str, Facts] = {
    "none": Facts(""),
    "asha": Facts("zfscale.sweep.rules:Asha", ("every", "grace", "reduction")),
    "hyperband": Facts("zfscale.sweep.rules:HyperBand", ("every", "grace", "reduction", "brackets")),
    "median": Facts("zfscale.sweep.rules:Median", ("every", "grace", "others")),
}


# Ray Tune's other schedulers, which a sweep file may not name -> why.
REFUSED = {
    "pbt": "it takes over trials that still run, and only one that has ended can be forked",
}


def _offered(name: Any) -> Any:
    if isinstance(name, str) and name in REFUSED:
        raise ValueError(f"{name} is not offered: {REFUSED[name]}")
    return name


class SchedulerSpec(NamedBlock):
    """Which trials are stopped early, by what they report after each stage."""

    CATALOGUE: ClassVar[Mapping[str, Reads]] = SCHEDULERS

    name: Annotated[str, OneOf(tuple(SCHEDULERS)), BeforeValidator(_offered)] = Field(
        default="none",
        description="none; asha (asynchronous successive halving): at each rung a trial must be among the best of "
        "those that have come there; hyperband: several asha beside each other, each with a later first rung; median: "
        "its best value so far must reach the median of the others' means",
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

    @property
    def loss(self) -> str:
        """What trials are compared by inside their stages, as the table of decisions calls it; "" for nothing.

        >>> SchedulerSpec(name="asha", every=50).loss
        'loss of 50 steps'
        """
        return f"loss of {self.every} steps" if self.every else ""

    @property
    def path(self) -> str:
        """The path of its class; "" if it stops nothing."""
        return SCHEDULERS[self.name].path


Scheduler = Annotated[SchedulerSpec, BeforeValidator(by_name, json_schema_input_type=str | SchedulerSpec)]
