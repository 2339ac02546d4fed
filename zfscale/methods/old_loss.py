"""The loss of earlier tasks while a new one is learned (ZeroFlow, Figure 8), measured on their training images.

Methods without a memory cannot see these images, and this gives them nothing: it only looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from zfscale.records import Eval
from zfscale.training.seeds import LOOK
from zfscale.zo.philox import derive

if TYPE_CHECKING:
    from zfscale.methods.classes import ClassLearner
    from zfscale.streams.class_incremental import Task
    from zfscale.training.journal import Journal

METRIC = "old_loss@{}"  # of `evals`, with the number of steps that were taken
IMAGES = 256  # of earlier tasks that are looked at, at most


@dataclass(frozen=True)
class OldLoss:
    """Cross-entropy among all classes on a fixed sample of the earlier tasks' training images, every so many steps.

    It is that of the method's classifier, were the training to end at this step. So that of EASE, whose logits are sums
    of cosines, moves in a narrow band. The sample depends on the trial's seed and the tasks alone.

    Args:
        x: uint8 [N, C, H, W].
        y: int64 [N], in 0 .. K - 1 of the classes seen before.
        every: Steps from one look to the next.
    """

    x: np.ndarray
    y: np.ndarray
    every: int

    @classmethod
    def of(cls, tasks: Sequence[Task], every: int, seed: int) -> OldLoss:
        """A sample of these tasks, all images alike."""
        y = np.concatenate([task.train_y for task in tasks])
        draw = np.random.Generator(np.random.Philox(key=derive(seed, len(tasks), LOOK)))
        rows = np.sort(draw.permutation(len(y))[:IMAGES])
        ends = np.cumsum([len(task.train_y) for task in tasks])
        parts = np.split(rows, np.searchsorted(rows, ends[:-1]))
        x = [task.train_x[part - start] for task, part, start in zip(tasks, parts, [0, *ends[:-1]], strict=True)]
        return cls(np.concatenate(x), y[rows], every)

    def look(self, method: ClassLearner, task: Task, journal: Journal, taken: int) -> None:
        """Write the loss after so many steps of `task`, if it is time; the network is left as it was."""
        if taken % self.every:
            return
        with journal.paused(), method.undisturbed():
            logits = method.logits(self.x, task).float()
            labels = torch.from_numpy(self.y).to(logits.device)
            loss = float(F.cross_entropy(logits, labels))
        journal.sink.eval(Eval(task.index, 0, METRIC.format(taken), loss))
