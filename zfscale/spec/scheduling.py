"""`search.scheduler`: the rules by which a sweep stops its weaker trials early, and the options of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from zfscale.block import Block
from zfscale.errors import nearest
from zfscale.spec.names import OneOf


@dataclass(frozen=True)
class Facts:
    """The facts of a scheduler: the path of its class ("" if it stops nothing), and the options that it reads."""

    path: str
    options: tuple[str, ...] = ()


SCHEDULERS: dict[str, Facts] = {
    "none": Facts(""),
    "asha": Facts("zfscale.sweep.rules:Asha", ("grace", "reduction")),
    "median": Facts("zfscale.sweep.rules:Median", ("grace", "others")),
}


def readers(option: str) -> str:
    """The schedulers that read an option.

    >>> readers("grace")
    'asha, median'
    """
    return ", ".join(name for name, facts in SCHEDULERS.items() if option in facts.options)


class SchedulerSpec(Block):
    """Which trials are stopped early, by what they report after each stage."""

    name: Annotated[str, OneOf(tuple(SCHEDULERS))] = Field(
        default="none",
        description="none; asha (asynchronous successive halving): at each rung a trial must be among the best of "
        "those that have come there; median: its best value so far must reach the median of the others' means",
    )
    grace: int = Field(default=1, ge=1, description="the first stage after which a trial may be stopped")
    reduction: float = Field(
        default=2.0,
        gt=1,
        description="of the trials at a rung, one in so many goes on; rungs are the stages grace, grace * reduction, "
        "grace * reduction^2 ...",
    )
    others: int = Field(default=3, ge=1, description="trials that must have come as far before one is stopped")

    @property
    def path(self) -> str:
        """The path of its class; "" if it stops nothing."""
        return SCHEDULERS[self.name].path

    @model_validator(mode="after")
    def _reads_them(self) -> SchedulerSpec:
        known = ("name", *SCHEDULERS[self.name].options)
        for option in sorted(self.model_fields_set - set(known)):
            raise ValueError(f"{option!r} has no effect on {self.name}; {nearest(option, known)}")
        return self


def _named(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


Scheduler = Annotated[SchedulerSpec, BeforeValidator(_named, json_schema_input_type=str | SchedulerSpec)]
