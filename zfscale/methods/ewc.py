"""Elastic weight consolidation (Kirkpatrick et al., PNAS 2017, arXiv 1612.00796): old tasks hold their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zfscale.methods.base import FeatureCache, to_tensor
from zfscale.methods.finetune import Finetune
from zfscale.methods.fisher import EPS, Examples, by_backward, by_forwards
from zfscale.methods.quadratic import Quadratic, penalised
from zfscale.streams.class_incremental import Task
from zfscale.training.objective import Loss, plain
from zfscale.training.seeds import FISHER
from zfscale.training.trainers import check_eps, first_order
from zfscale.zo.philox import derive

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


class Ewc(Finetune):
    """Loss = that of finetuning + penalty / 2 sum_t sum_i F_ti (theta_i - theta_ti)^2 over the earlier tasks t (eq. 3).

    theta_t are the weights at the end of task t, F_t the diagonal of its Fisher information. The penalty is a part of
    the loss that forwards measure, so it is seen by the zo- optimizers and by forward-grad as well.

    NOTE: what the Fisher information takes is not among the `forwards` of a trial, as what embeds images is not. By
    forwards, these are two a batch of `fisher_images` and matrix or vector of weights.

    NOTE: a penalty a task, as in the paper, kept as one quadratic of the same value. The benchmark's toolbox keeps the
    newest weights and a running mean of F, which it takes of batch gradients and cuts off at 1e-4.
    """

    def __init__(self, spec: TrialSpec, base: Any, cache: FeatureCache | None = None) -> None:
        super().__init__(spec, base, cache)
        self.quadratic = Quadratic()

    def loss(self, task: Task) -> Loss:
        if task.index == 1:
            return plain
        options: Any = self.spec.method.filled()
        self.network.watch = self.quadratic.see
        return penalised(self.quadratic, options.penalty)

    def settle(self, task: Task) -> None:
        super().settle(task)
        if self.network.watch is not None:
            self.network.watch = None
            self.network.ready()

    def remember(self, task: Task) -> None:
        leaves, overlay = self.network.prepare(to_tensor(task.train_x[:1], self.engine.device))
        options: Any = self.spec.method.filled()
        examples = self._examples(task, options.fisher_images)
        backward = {"backprop": True, "forward": False}.get(options.fisher, first_order(self.spec).epochs > 0)
        if backward:
            fisher = by_backward(self.network, leaves, examples)
        else:
            check_eps(leaves, EPS, self.engine.ranks, "method.fisher: forward")
            fisher = by_forwards(self.network, leaves, overlay, examples, self.seed(FISHER, task))
        for leaf in leaves:
            self.quadratic.add(leaf.name, fisher[leaf.name], leaf.parameter.detach().float())

    def _examples(self, task: Task, count: int) -> Examples:
        """As many of the task's images as are asked for, or all, drawn by seed."""
        seed = derive(self.seed(FISHER, task), 0)
        rows = np.random.Generator(np.random.Philox(key=seed)).permutation(len(task.train_y))[:count]
        labels = torch.tensor(task.train_y[rows] - self.offset(task), device=self.engine.device)
        return Examples(to_tensor(task.train_x[rows], self.engine.device), labels, self.spec.train.batch_size)
