"""Methods for domain-incremental streams: a pretrained model that goes on learning, domain after domain.

`Sequential` is the plain one and the base of the others. Shapes: M held-out examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zfscale.data.examples import Examples
from zfscale.methods.base import Learner, embed
from zfscale.methods.prototypes import class_means, cosine
from zfscale.streams.domain_incremental import DomainTask

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec

# Training images a class mean is taken of: its error is then a sixth of the images' spread, and embedding thousands
# of images after every stage would cost more than learning them does.
MEAN_OF = 40


class DomainLearner(Learner[DomainTask]):
    """Learns the domains of a stream in order; says, at any time, how well it predicts any of them."""

    one_by_one = True  # a stage a domain; forgetting and transfer are defined of nothing else

    def made(self, network: Any) -> None:
        network.ready()

    def losses(self, task: Examples) -> np.ndarray:
        """float64 [M]: the mean loss of each held-out example of a domain, in nats a token or squared error a pixel."""
        size = self.spec.train.micro_batch_size or self.spec.train.batch_size
        self.engine.train(False)
        parts = []
        with torch.no_grad():
            for start in range(0, len(task.held_out_x), size):
                x = torch.tensor(task.held_out_x[start : start + size], device=self.engine.device)
                y = torch.tensor(task.held_out_y[start : start + size], device=self.engine.device)
                parts.append(self.network.example_losses(self.engine(x), y).double().cpu())
        return torch.cat(parts).numpy()

    def accuracy(self, task: Examples) -> float | None:
        """Share of a domain's held-out images whose nearest class mean, by cosine of the features, is their own's.

        The means are those of its first training images, `MEAN_OF` a class: in their order, any first ones have each
        class as often. None where examples have no classes.
        """
        if task.train_labels is None or task.held_out_labels is None:
            return None
        classes = np.unique(task.train_labels)
        first = slice(MEAN_OF * len(classes))
        prototypes = class_means(self._features(task.train_x[first]), task.train_labels[first], classes)
        nearest = cosine(self._features(task.held_out_x), prototypes).argmax(1).cpu().numpy()
        return float((classes[nearest] == task.held_out_labels).mean())

    def _features(self, images: np.ndarray) -> torch.Tensor:
        """Features [N, D] of images, nothing hidden."""
        return embed(self.engine, images, self.spec.train.batch_size)


class Sequential(DomainLearner):
    """Each domain in its turn, on its own examples only."""


class ZeroShot(DomainLearner):
    """The pretrained model as it is."""

    @classmethod
    def trains(cls, spec: TrialSpec, stage: int) -> bool:
        return False
