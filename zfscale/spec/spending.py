"""`search.budget`: what a search for values may spend, and what a sweep may, over all its runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from zfscale.block import Block

UNITS = ("trials", "hours", "forwards")
HOUR = 3600  # seconds


class BudgetSpec(Block):
    """What may be spent. Once a sweep, all its runs together, has spent its part, no other trial of it starts."""

    each: int | None = Field(
        default=None,
        ge=1,
        description="forwards that `zfscale tune` may spend on each method and optimizer. null: nothing is to be tuned",
    )
    trials: int | None = Field(default=None, ge=1, description="trials that `zfscale run` may start. null: no limit")
    hours: float | None = Field(
        default=None, gt=0, description="hours that they may take, added up, however many run at a time"
    )
    forwards: int | None = Field(
        default=None, ge=1, description="training forwards that they may make; those that run count as a whole"
    )

    @model_validator(mode="after")
    def _limits_something(self) -> BudgetSpec:
        if not self.limited and self.each is None:
            raise ValueError(f"limits nothing; expected one of each, {', '.join(UNITS)}")
        return self

    @property
    def limited(self) -> bool:
        """Whether it is one of `zfscale run`."""
        return any(getattr(self, unit) is not None for unit in UNITS)

    @property
    def limits(self) -> str:
        """What `zfscale run` may spend, in words.

        >>> BudgetSpec(trials=3, hours=2).limits
        'at most 3 trials, 2 hours'
        """
        limits = [f"{limit:,g} {unit}" for unit in UNITS if (limit := getattr(self, unit)) is not None]
        return f"at most {', '.join(limits)}" if limits else ""

    def spent(self, taken: Mapping[str, float]) -> list[str]:
        """What of it is spent, in words, by trials that took so much of each unit.

        >>> BudgetSpec(trials=3, hours=2).spent({"trials": 3, "hours": 0.5})
        ['trials 3 of 3']
        """
        limits = {unit: limit for unit in UNITS if (limit := getattr(self, unit)) is not None}
        return [
            f"{unit} {taken.get(unit, 0):,.6g} of {limit:,g}"
            for unit, limit in limits.items()
            if taken.get(unit, 0) >= limit
        ]


def _number(given: Any) -> Any:
    return {"each": given} if isinstance(given, (int, float)) else given


Budget = Annotated[BudgetSpec, BeforeValidator(_number, json_schema_input_type=int | BudgetSpec)]


def taken(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What trials that ended took, by their rows in `trials`: a failed one up to its last step, if that is known."""
    found = dict.fromkeys(UNITS, 0.0)
    for row in rows:
        found["trials"] += 1
        found["hours"] += (row.get("seconds") or 0.0) / HOUR
        found["forwards"] += row.get("forwards") or 0
    return found
