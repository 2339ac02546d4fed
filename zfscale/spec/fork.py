"""The `fork` block: a trial that shares the first steps of another one, whose ledger gives them again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from zfscale.block import CANONICAL, MAX_SEED, Block
from zfscale.errors import ZfscaleError
from zfscale.spec.text import ResultsPlace

DRAWN = ("fork.trial", "fork.seed")  # leaves by which forks are repetitions of each other


class ForkSpec(Block):
    """Where a trial branches off: what the file says of it, and what its parent was, which is read from the results.

    `results` says where the parent is looked for, so it decides nothing of the trial and is no part of its id; nor are
    the fields that are filled in, since the parent's id stands for all of its spec.
    """

    FILLED: ClassVar[tuple[str, ...]] = ("spec", "tasks")  # no file has them
    ELSEWHERE: ClassVar[frozenset[str]] = frozenset({"results", *FILLED})  # what is no part of a trial's id

    trial: str = Field(
        pattern="^[0-9a-f]{12}$",
        description="id of the trial whose first steps are shared, the fork's parent; a fork may be one",
    )
    step: int = Field(ge=1, description="how many steps are shared, counted over all tasks as in `zfscale replay`")
    results: ResultsPlace | None = Field(
        default=None, description="results directory or URL of the parent; null: that of the sweep"
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="seed of what steps after the fork draw (directions, augmentation); null: as in the parent",
    )
    spec: SkipJsonSchema[dict[str, Any] | None] = Field(default=None, description="the parent's spec")
    tasks: SkipJsonSchema[int] = Field(default=0, description="how many tasks have begun before the fork")

    @cached_property
    def canonical(self) -> str:
        """As a block's, of what is part of a trial's id."""
        return CANONICAL.encode(self.model_dump(exclude_defaults=True, exclude=set(self.ELSEWHERE)))


class Origin(NamedTuple):
    """What results tell of a parent: its spec as JSON, how many tasks it had begun before the fork, where it is."""

    spec: str
    tasks: int
    results: str


# Results (None: the sweep's own), trial, step -> what is there. Errors: Unforkable.
Lookup = Callable[[str | None, str, int], Origin]


class Unforkable(ZfscaleError):
    """A trial that cannot be a parent, or not at this step: `key` is the option of the block that asks for too much."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
