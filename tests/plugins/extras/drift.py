"""A stream whose pictures get noisier from task to task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field
from typing_extensions import Self

from zfscale.spec import Block, StreamSpec
from zfscale.streams.catalogue import Stream
from zfscale.streams.class_incremental import ClassIncremental, Task


class Options(Block):
    """Options that this stream alone has."""

    noise: float = Field(default=10.0, ge=0, le=255, description="standard deviation that each task adds, of 255")


class Drifting(ClassIncremental):
    """New classes, and noise that grows with every task."""

    facts = Stream("extras.drift:Drifting", "class_incremental", own=Options)

    @classmethod
    def of(cls, spec: StreamSpec, data: Any) -> Self:
        made = super().of(spec, data)
        deviation = spec.filled().noise  # type: ignore[attr-defined]
        made.arrange([_noisy(task, deviation * (task.index - 1)) for task in made])
        return made


def _noisy(task: Task, deviation: float) -> Task:
    draw = np.random.default_rng(task.index)

    def add(x: np.ndarray) -> np.ndarray:
        return np.clip(x + draw.normal(0, deviation, x.shape), 0, 255).astype(np.uint8)

    return replace(task, train_x=add(task.train_x), test_x=add(task.test_x))
