"""MEMO (Zhou et al., ICLR 2023, arXiv 2205.13218): shared blocks below, a last block of its own for every task.

Shapes: B images, T tasks so far, K classes so far, m new ones, D features of one task's block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zfscale.methods.base import FeatureCache
from zfscale.methods.rehearsing import Rehearsing
from zfscale.models.copies import Copies
from zfscale.models.heads import AuxiliaryHead
from zfscale.streams.class_incremental import Task
from zfscale.training.objective import Loss, Objective, plain
from zfscale.training.seeds import AUXILIARY, COLUMNS, HEAD

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


class Memo(Rehearsing):
    """The first task trains the whole encoder. Each later one trains a copy of the last block and of the final norm,
    as the task before has left them, and the head on the features of all copies, [B, T D]; all else is frozen.

    Loss = CE + alpha_aux CE of an auxiliary head on the newest copy's features, with m + 1 outputs, of which 0 stands
    for any old class; it has its place from the second task on and is dropped when its task ends. The images are the
    task's and those of a herding buffer.

    NOTE: the paper's weight decay is 5e-4 in the first task and 2e-4 from then on. Here it is the optimizer's in all,
    unless `later_weight_decay` is given.
    """

    def __init__(self, spec: TrialSpec, base: Any, cache: FeatureCache | None = None) -> None:
        super().__init__(spec, base, cache)
        self.network.copies = self._copies = Copies(self.network.encoder)
        self.network.head = self._head = AuxiliaryHead(self.width)

    def begin(self, task: Task) -> None:
        if task.index > 1:
            fresh = self._copies.fresh()
            self.freeze()
            self._copies.pairs.append(fresh)
            self._head.widen(self.width, self.seed(COLUMNS, task))
            self._head.attach(len(task.labels) + 1, self.seed(AUXILIARY, task))
        self._head.grow(len(task.labels), self.seed(HEAD, task))
        self._head.to(self.engine.device)

    def settings(self, task: Task, spec: TrialSpec) -> TrialSpec:
        options: Any = spec.method.filled()
        if task.index == 1 or options.later_weight_decay is None:
            return spec
        optimizer = spec.optimizer.model_copy(update={"weight_decay": options.later_weight_decay})
        return spec.model_copy(update={"optimizer": optimizer})

    def loss(self, task: Task) -> Loss:
        options: Any = self.spec.method.filled()
        return with_auxiliary(task.labels, options.alpha_aux) if task.index > 1 else plain

    def settle(self, task: Task) -> None:
        self._head.detach()

    def logits(self, images: np.ndarray, task: Task) -> torch.Tensor:
        """Without the auxiliary head's, which is there while the task trains."""
        with torch.no_grad():
            return self._head(self.features(images))[:, : task.labels.stop]

    def predict(self, task: Task) -> np.ndarray:
        with torch.no_grad():
            return self._head(self.features(task.test_x)).argmax(1).cpu().numpy()


def with_auxiliary(new: range, alpha: float) -> Loss:
    """The objective on the first K logits plus alpha times the objective on the others, the auxiliary head's."""

    def loss(objective: Objective, outputs: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        main, auxiliary = outputs[:, : new.stop], outputs[:, new.stop :]
        return objective(main, labels) + alpha * objective(auxiliary, (labels - new.start + 1).clamp(min=0))

    return loss
