"""What all blocks of a sweep file have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

MAX_SEED = 2**32 - 1  # the widest seed that every random generator below us accepts


class Block(BaseModel):
    """No unknown keys, no coercion ("1" is not 1, true is not 1), no NaN, no mutation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
