"""What all blocks of a sweep file have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

MAX_SEED = 2**32 - 1  # the widest seed that every random generator below us accepts
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))

Self = TypeVar("Self", bound="Block")


class Block(BaseModel):
    """No unknown keys, no coercion ("1" is not 1, true is not 1), no NaN, no mutation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @cached_property
    def canonical(self) -> str:
        """All but the defaults as JSON, in the order of keys: equal blocks have one text."""
        return CANONICAL.encode(self.model_dump(exclude_defaults=True))

    def model_copy(self: Self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Another block, without what was computed of this one."""
        copied = super().model_copy(update=update, deep=deep)
        for name in vars(copied).keys() - type(self).model_fields.keys():
            del vars(copied)[name]
        return copied
