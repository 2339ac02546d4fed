"""How a value of the space varies: a grid takes every value, the others turn a uniform u in [0, 1) into one.

A draw is a pure function of u, rounded where libm differs between machines, so that ids do not.
"""

from __future__ import annotations

import json
import math
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag


def _ordered(bounds: list[float]) -> list[float]:
    if bounds[0] >= bounds[1]:
        raise ValueError(f"the first bound must be below the second, got {bounds[:2]}")
    return bounds


def _ordered_ints(bounds: list[int]) -> list[int]:
    if bounds[0] >= bounds[1]:
        raise ValueError(f"the first bound must be below the second, which is excluded, got {bounds}")
    return bounds


def _positive(bounds: list[float]) -> list[float]:
    if bounds[0] <= 0:
        raise ValueError(f"both bounds must be > 0, got {bounds}")
    return bounds


def _steps(bounds: list[float]) -> list[float]:
    low, high, step = bounds
    if step <= 0:
        raise ValueError(f"the step must be > 0, got {step}")
    if not all(math.isfinite(value / step) for value in (low, high, high - low)):
        raise ValueError(f"a step of {step} is too small for [{low}, {high}]")
    if math.ceil(low / step) > math.floor(high / step):
        raise ValueError(f"no multiple of {step} lies in [{low}, {high}]")
    return bounds


LAST = 1 - 2**-53  # the largest number below 1
ROUNDING = 1e-9  # of a quotient
LISTED = 100_000  # of the values of a path: more than anybody means to list
Integer = Annotated[int, Field(ge=-(2**53), le=2**53)]  # what a 53-bit draw can tell apart
PAIR = Field(min_length=2, max_length=2)
TRIPLE = Field(min_length=3, max_length=3)


class _Values(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @cached_property
    def text(self) -> str:
        """As JSON, of which draws are a function."""
        return json.dumps(self.model_dump(), sort_keys=True)

    def draw(self, u: float) -> Any:
        raise NotImplementedError

    def share(self, value: Any) -> float:
        """A number of [0, 1) at which the value is drawn, to rounding. Errors: ValueError if it never is."""
        raise NotImplementedError

    @property
    def all(self) -> list[Any] | None:
        """Every value, in order; None where there are too many to be listed."""
        return None

    @property
    def options(self) -> int | None:
        """Of how many values one is chosen that have no order; None of numbers."""
        return None


def _within(u: float, values: Any, value: Any) -> float:
    """A share that is one. Errors: ValueError of any other."""
    if not 0 <= u <= 1:
        raise ValueError(f"{value} is not in {values}")
    return min(u, LAST)


class _Listed(_Values):
    """Values that are listed, each with an equal part of [0, 1)."""

    @property
    def all(self) -> list[Any]:
        """All of them."""
        raise NotImplementedError

    def draw(self, u: float) -> Any:
        """The value at u; of a grid, for a search that tries a part of it."""
        return self.all[int(u * len(self.all))]

    def share(self, value: Any) -> float:
        """The middle of the value's part."""
        return (self.all.index(value) + 0.5) / len(self.all)

    @property
    def options(self) -> int:
        """How many there are."""
        return len(self.all)


class Grid(_Listed):
    """Every value, crossed with every other grid."""

    grid: list[Any] = Field(min_length=1, description="the values; each is crossed with every other grid")

    @property
    def all(self) -> list[Any]:
        """All of them."""
        return self.grid


class Choice(_Listed):
    """One of the values, all equally likely."""

    choice: list[Any] = Field(min_length=1, description="the values; one is drawn per sample")

    @property
    def all(self) -> list[Any]:
        """All of them."""
        return self.choice


class Uniform(_Values):
    """A number of [low, high)."""

    uniform: Annotated[list[float], PAIR, AfterValidator(_ordered)] = Field(description="[low, high]")

    def draw(self, u: float) -> float:
        """The number at u."""
        low, high = self.uniform
        return low + u * (high - low)

    def share(self, value: Any) -> float:
        """Where the number lies."""
        low, high = self.uniform
        return _within((value - low) / (high - low), self.uniform, value)


class LogUniform(_Values):
    """A positive number whose logarithm is uniform, to 6 digits."""

    loguniform: Annotated[list[float], PAIR, AfterValidator(_positive), AfterValidator(_ordered)] = Field(
        description="[low, high], both > 0"
    )

    @cached_property
    def _logs(self) -> tuple[float, float]:
        """The logarithm of the lower bound, and how far that of the upper one is from it."""
        low, high = map(math.log, self.loguniform)
        return low, high - low

    def draw(self, u: float) -> float:
        """The number at u."""
        low, high = self.loguniform
        least, span = self._logs
        value = math.exp(least + u * span)
        return min(max(float(f"{value:.6g}"), low), high)

    def share(self, value: Any) -> float:
        """Where its logarithm lies."""
        low, high = self.loguniform
        if not low <= value <= high:
            raise ValueError(f"{value} is not in {self.loguniform}")
        return _within(math.log(value / low) / math.log(high / low), self.loguniform, value)


class RandInt(_Values):
    """An integer of [low, high)."""

    randint: Annotated[list[Integer], PAIR, AfterValidator(_ordered_ints)] = Field(
        description="[low, high]; high is excluded"
    )

    def draw(self, u: float) -> int:
        """The integer at u."""
        low, high = self.randint
        return low + int(u * (high - low))

    def share(self, value: Any) -> float:
        """The middle of the integer's part."""
        low, high = self.randint
        return _within((value - low + 0.5) / (high - low), self.randint, value)

    @property
    def all(self) -> list[int] | None:
        """Every integer."""
        low, high = self.randint
        return list(range(low, high)) if high - low <= LISTED else None


class QUniform(_Values):
    """A multiple of step in [low, high]; an integer if all three are."""

    quniform: Annotated[list[float], TRIPLE, AfterValidator(_ordered), AfterValidator(_steps)] = Field(
        description="[low, high, step]"
    )

    def draw(self, u: float) -> float:
        """The nearest multiple at u."""
        low, high, step = self.quniform
        count = round((low + u * (high - low)) / step)
        return self._multiple(min(max(count, math.ceil(low / step)), math.floor(high / step)))

    def share(self, value: Any) -> float:
        """Where the number lies."""
        low, high, _ = self.quniform
        return _within((value - low) / (high - low), self.quniform, value)

    @property
    def all(self) -> list[float] | None:
        """Every multiple; a bound that is one but for rounding counts."""
        low, high, step = self.quniform
        first, last = math.ceil(low / step - ROUNDING), math.floor(high / step + ROUNDING)
        return [self._multiple(i) for i in range(first, last + 1)] if last - first < LISTED else None

    def _multiple(self, count: int) -> float:
        step = self.quniform[2]
        if all(value.is_integer() for value in self.quniform):
            return count * int(step)
        return float(f"{count * step:.12g}")


KINDS = {
    "grid": Grid,
    "choice": Choice,
    "uniform": Uniform,
    "loguniform": LogUniform,
    "randint": RandInt,
    "quniform": QUniform,
}


def _kind(value: Any) -> str | None:
    """The tag of the one model whose key this mapping has, else None."""
    if not isinstance(value, dict):
        return f"<{type(value).__name__}>" if isinstance(value, _Values) else None
    known = [KINDS[key].__name__ for key in value if key in KINDS]
    return f"<{known[0]}>" if len(known) == 1 == len(value) else None


Distribution = Annotated[
    Annotated[Grid, Tag("<Grid>")]
    | Annotated[Choice, Tag("<Choice>")]
    | Annotated[Uniform, Tag("<Uniform>")]
    | Annotated[LogUniform, Tag("<LogUniform>")]
    | Annotated[RandInt, Tag("<RandInt>")]
    | Annotated[QUniform, Tag("<QUniform>")],
    Discriminator(_kind, custom_error_type="distribution", custom_error_message="not one distribution"),
]
