"""What every method shares: a network behind an engine, features in batches, and the contract a trial relies on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zfscale.engine.deepspeed import Engine
from zfscale.models.adapters import Adapters
from zfscale.models.network import Network
from zfscale.models.precision import precision_of
from zfscale.models.vit import BaseModel, build
from zfscale.streams.class_incremental import ClassIncremental, Task
from zfscale.training.fit import Fit
from zfscale.training.journal import Journal
from zfscale.zo.philox import derive

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec

FeatureCache = dict[Any, torch.Tensor]  # of the pretrained model; shared by the trials of a worker
INFERENCE_BATCH = 64  # images a forward outside training, at least


class Method(ABC):
    """Learns tasks in order; predicts, at any time, among all classes seen so far."""

    has_adapters = False

    def __init__(self, spec: TrialSpec, base: BaseModel, cache: FeatureCache | None = None) -> None:
        self.spec = spec
        self._pretrained = {} if cache is None else cache
        encoder = build(base, spec.optimizing.attention)
        m = spec.method
        adapters = (
            Adapters(encoder.backbone, m.bottleneck, m.adapter_scale, m.adapter_dropout) if self.has_adapters else None
        )
        self.network = Network(encoder, adapters, precision_of(spec.train.precision, spec.engine.dtype))
        self.width = encoder.width
        self.engine = Engine(self.network, spec.train.batch_size, settings=spec.engine)
        self._test_features: dict[tuple[int, int], torch.Tensor] = {}

    def stages(self, stream: ClassIncremental) -> Iterator[Task]:
        """What is learned at each stage: the stream's tasks."""
        return iter(stream)

    def learn(self, task: Task, journal: Journal) -> None:
        """Learn `task`, the next in order, writing every step to `journal`."""
        self.begin(task)
        if self.trains(task.index):
            Fit(self.network, self.engine, task, self.offset(task), self.spec, journal).run()
        self.settle(task)
        self.remember(task)

    def begin(self, task: Task) -> None:
        """Make what the task will train; looks at the task's number and labels, never at its images."""

    def offset(self, task: Task) -> int:
        """The label that is logit 0 while `task` is trained."""
        return 0

    def settle(self, task: Task) -> None:
        """After training: freeze what is done, drop what was for training only."""

    def remember(self, task: Task) -> None:
        """Keep of the task's training images what prediction needs."""

    @abstractmethod
    def predict(self, task: Task) -> np.ndarray:
        """Labels int64 [N] for the test images of `task`, already learned, among all classes seen so far."""

    @staticmethod
    def trains(task_index: int) -> bool:
        """Whether task 1..K is trained on (or only embedded)."""
        return True

    @classmethod
    def examples(cls, spec: TrialSpec, stream: ClassIncremental) -> list[int]:
        """How many training examples each stage has that trains."""
        return [len(task.train_y) for task in stream if cls.trains(task.index)]

    def seed(self, purpose: int, task: Task) -> int:
        """A seed for initialising something for `task`."""
        return derive(self.spec.seed, task.index, purpose)

    def features(self, images: np.ndarray, adapter_set: int | None = None) -> torch.Tensor:
        """Features [N, D] of uint8 images in the subspace of an adapter set; None is the pretrained model's."""
        if self.network.adapters is not None:
            self.network.adapters.active = adapter_set
        return embed(self.engine, images, self.spec.train.batch_size)

    def pretrained_features(self, task: Task, split: str) -> torch.Tensor:
        """Features [N, D] of the task's "train" or "test" images before any adaptation; once for all trials.

        The key holds all that decides their bits: the batch, too, since a matrix product's rounding depends on it.
        """
        s = self.spec
        attention, batch = s.optimizing.attention, max(s.train.batch_size, INFERENCE_BATCH)
        key = (s.model, s.stream, s.train.precision, s.engine.dtype, batch, attention, task.index, split)
        if key not in self._pretrained:
            self._pretrained[key] = self.features(task.train_x if split == "train" else task.test_x, None)
        return self._pretrained[key]

    def frozen_test_features(self, task: Task, adapter_set: int) -> torch.Tensor:
        """Features of the task's test images in a subspace that no longer changes; computed once."""
        key = (task.index, adapter_set)
        if key not in self._test_features:
            self._test_features[key] = self.features(task.test_x, adapter_set)
        return self._test_features[key]

    def freeze(self) -> None:
        """From here on nothing present is trainable; what is added later is."""
        self.network.freeze()


def embed(engine: Engine, images: np.ndarray, batch_size: int) -> torch.Tensor:
    """Features float32 [N, D] of uint8 images, in eval mode; a forward takes `INFERENCE_BATCH` images at least."""
    engine.train(False)
    batch = max(batch_size, INFERENCE_BATCH)
    with torch.no_grad():
        parts = [
            engine(to_tensor(images[i : i + batch], engine.device), features=True) for i in range(0, len(images), batch)
        ]
    return torch.cat(parts).float()


def to_tensor(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """A copy on the device: the arrays may live in a shared, read-only object store."""
    return torch.tensor(images, device=device)
