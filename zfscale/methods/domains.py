"""Methods for domain-incremental streams: a pretrained model that goes on learning, domain after domain.

`Sequential` is the plain one and the base of the others. Shapes: M held-out examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from zfscale.engine.deepspeed import Engine
from zfscale.methods.base import embed
from zfscale.methods.prototypes import class_means, cosine
from zfscale.models.language import LanguageNetwork
from zfscale.models.lm import LanguageBase, build_lm
from zfscale.models.masked_image import MaskedImageNetwork
from zfscale.models.mim import MaskedImageBase, build_mim
from zfscale.models.precision import precision_of
from zfscale.streams.domain_incremental import DomainIncremental, DomainTask
from zfscale.training.fit import Fit
from zfscale.training.journal import Journal
from zfscale.training.trainers import ADAPTER
from zfscale.zo.philox import derive

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec

# Training images a class mean is taken of: its error is then a sixth of the images' spread, and embedding thousands
# of images after every stage would cost more than learning them does.
MEAN_OF = 40


class DomainMethod:
    """Learns the domains of a stream in order; says, at any time, how well it predicts any of them."""

    one_by_one = True  # a stage a domain; forgetting and transfer are defined of nothing else

    def __init__(self, spec: TrialSpec, base: LanguageBase | MaskedImageBase) -> None:
        self.spec = spec
        self.network = _network(spec, base)
        self.engine = Engine(self.network, spec.train.batch_size, settings=spec.engine)
        self.network.ready()

    def stages(self, stream: DomainIncremental) -> Iterator[DomainTask]:
        """What is learned at each stage: the stream's domains, unless the method adds to them."""
        return iter(stream)

    def learn(self, task: DomainTask, journal: Journal) -> None:
        """Learn one of the stages, writing every step to `journal`."""
        self.begin(task)
        if self.trains(task.index):
            Fit(self.network, self.engine, task, 0, self.spec, journal).run()
        self.settle(task)

    def begin(self, task: DomainTask) -> None:
        """Make what the stage will train: what a model trains is the same at every stage."""

    def settle(self, task: DomainTask) -> None:
        """After training: nothing is dropped or frozen."""

    def losses(self, task: DomainTask) -> np.ndarray:
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

    def accuracy(self, task: DomainTask) -> float | None:
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

    @staticmethod
    def trains(task_index: int) -> bool:
        """Whether stage 1..K is trained on."""
        return True

    @classmethod
    def examples(cls, spec: TrialSpec, stream: DomainIncremental) -> list[int]:
        """How many training examples each stage has that trains."""
        return [len(task.train_x) for task in stream if cls.trains(task.index)]


def _network(spec: TrialSpec, base: LanguageBase | MaskedImageBase) -> LanguageNetwork | MaskedImageNetwork:
    attention = spec.optimizing.attention
    precision, seed = precision_of(spec.train.precision, spec.engine.dtype), derive(spec.seed, 0, ADAPTER)
    m, lora = spec.model, {"lora_rank": spec.model.lora_rank, "lora_alpha": spec.model.lora_alpha}
    if isinstance(base, MaskedImageBase):
        return MaskedImageNetwork(build_mim(base, attention), base.pixels, m.train, precision, seed, **lora)
    return LanguageNetwork(build_lm(base, attention), m.train, precision, seed, base.masked, base.tokenizer, **lora)


class Sequential(DomainMethod):
    """Each domain in its turn, on its own examples only."""


class ZeroShot(DomainMethod):
    """The pretrained model as it is."""

    @staticmethod
    def trains(task_index: int) -> bool:
        return False
