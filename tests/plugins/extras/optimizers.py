"""An optimizer of its own direction and its own update; torch is imported when a trial uses them."""

from __future__ import annotations

from pydantic import Field

from zfscale.spec import Block
from zfscale.zo.catalogue import Direction, Optimizer, Rule


class Options(Block):
    """Options that this optimizer alone has."""

    width: int = Field(default=2, ge=1, le=8, description="rank of a direction of a matrix")
    decay: float = Field(default=0.5, ge=0, lt=1, description="share of the past in what is orthogonalised")


SPECTRAL = Optimizer(
    estimate="spsa",
    update=Rule("extras.spectral:Spectral", ("decay",), states=lambda o: 1, unit="leaf"),
    direction=Direction("extras.outer:Outer", ("width",)),
    own=Options,
)
