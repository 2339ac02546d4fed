"""A trial at a step of its past, for whoever measures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from zfscale.methods.base import Learner


@dataclass(frozen=True)
class Seen:
    """What a learner is tested on in a stage, in order: the tasks seen, the one that it learns last, or all domains."""

    tasks: Sequence[Any]

    @cached_property
    def images(self) -> np.ndarray:
        """Test images of all these tasks of classes, uint8 [N, C, H, W]."""
        return np.concatenate([task.test_x for task in self.tasks])


@dataclass(frozen=True)
class Point:
    """A learner as it was after `step` steps, in the middle of a stage.

    It may predict: its mode is put back by who shows it.

    Args:
        learner: The method with its network.
        task: The stage that it learns.
        step: How many steps the trial has taken.
        seen: What it is tested on.
        began: Gives the weights before the first step, by name, on the CPU.
    """

    learner: Learner[Any]
    task: Any
    step: int
    seen: Seen
    began: Callable[[], Mapping[str, torch.Tensor]]

    @property
    def tested(self) -> Sequence[Any]:
        """The tasks or domains that it is tested on."""
        return self.seen.tasks

    @cached_property
    def logits(self) -> list[torch.Tensor]:
        """Of a class-incremental trial, for each of `tested`: [N, K] of its test images, were training to end now."""
        learner: Any = self.learner
        found = learner.logits(self.seen.images, self.task).float().cpu()
        return list(found.split([len(task.test_y) for task in self.tested]))
