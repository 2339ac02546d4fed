"""On what kind of machine a trial ran, which decides the last bits of its losses, and how near others come to them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zfscale.results.tables import versions
from zfscale.trial.run import versions as here

DECIDING = ("torch", "transformers", "deepspeed", "threads", "device", "cpu")  # of `versions`: what decides a rounding
NEAR = 1e-3  # relative to a loss or to 1: what another rounding may change of it
HALF = 2e-2  # the same where forwards compute in 16 bits
FLIPPED = 2e-2  # absolute, of an accuracy: images that two labels are equally near to, and what is made of accuracies


@dataclass(frozen=True)
class Machine:
    """What differs between the machine of a trial and this one.

    Args:
        others: Name in `versions` -> the value then and now, of those that decide last bits.
        near: How near to a recorded value one has to come that is computed on another kind of machine.
    """

    others: Mapping[str, tuple[str, str]]
    near: float

    @classmethod
    def of(cls, row: Mapping[str, Any], low: bool) -> Machine:
        """Compare, once the threads are set; `low` is for forwards in 16 bits."""
        then, now = versions(row["versions"]), json.loads(here())
        pairs = {name: (str(then[name]), str(now.get(name))) for name in DECIDING if name in then}
        return cls({name: pair for name, pair in pairs.items() if pair[0] != pair[1]}, HALF if low else NEAR)

    @property
    def same(self) -> bool:
        """Whether every bit has to be the same."""
        return not self.others

    def agrees(self, then: float, now: float, counted: bool = False) -> bool:
        """Whether an evaluation is as it was recorded: to the bit on the same kind of machine, else nearly.

        `counted` is for accuracies.
        """
        if then == now or (math.isnan(then) and math.isnan(now)):
            return True
        near = max(self.near, FLIPPED) if counted else self.near
        return not self.same and abs(then - now) <= near * max(1.0, abs(then))

    def __str__(self) -> str:
        return "; ".join(f"{name} {then} then, {now} now" for name, (then, now) in self.others.items())
