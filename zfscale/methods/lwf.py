"""Learning without Forgetting (Li & Hoiem, ECCV 2016, arXiv 1606.09282): the old network teaches on the new images.

Shapes: B images, O old classes, N images of the task.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from zfscale.methods.finetune import Finetune
from zfscale.streams.class_incremental import Task
from zfscale.training.objective import Loss, Objective, plain


class Lwf(Finetune):
    """Loss = CE over the new classes' logits + `distillation` times that of the old ones' (eq. 2, 3 of the paper).

    The old network's answers on the task's images are computed once, before its first step.

    NOTE: where training images are augmented, the answers are still those on the images as they are.

    NOTE: the paper first trains the new head alone for a while; here the whole network trains from the first step.
    """

    def loss(self, task: Task) -> Loss:
        old = task.labels.start
        if not old:
            return plain
        options: Any = self.spec.method.filled()
        return distilling(old, self._answers(task)[:, :old], options.distillation, options.temperature)

    def _answers(self, task: Task) -> torch.Tensor:
        """Logits [N, classes] of the task's images before it is trained, by the head as it is now."""
        self.network.ready()
        with torch.no_grad():
            return self._head.every(self.features(task.train_x))


def distilling(old: int, answers: torch.Tensor, weight: float, temperature: float) -> Loss:
    """The objective on the new classes' logits plus `weight` times the distillation of the old ones'.

    `answers` are the old network's logits [N, O] on the images of the stage.
    """

    def loss(objective: Objective, outputs: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        told = distillation(outputs[:, :old], answers[rows], temperature)
        return objective(outputs[:, old:], labels - old) + weight * told

    return loss


def distillation(logits: torch.Tensor, answers: torch.Tensor, temperature: float) -> torch.Tensor:
    """-sum_o p_o log q_o, the mean over images, of p = softmax(answers / T) and q = softmax(logits / T), both [B, O].

    NOTE: softmax(logits / T) is the paper's p^(1/T) / sum p^(1/T). No factor T^2, which it does not have either.
    """
    return -(F.softmax(answers / temperature, 1) * F.log_softmax(logits / temperature, 1)).sum(1).mean()
