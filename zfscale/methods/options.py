"""Options that a method of ours has alone; nothing here needs numpy or torch."""

from __future__ import annotations

from pydantic import Field

from zfscale.block import Block


class Buffer(Block):
    """Those of a method that rehearses."""

    buffer_size: int = Field(default=2000, ge=1, description="training images that are kept")


class RandomFeatures(Block):
    """Those of a method that classifies random features."""

    random_features: int = Field(default=2000, ge=1, description="how many random features there are")
