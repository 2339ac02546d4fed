"""What the methods for class-incremental streams share: features in batches, and predictions among the classes seen."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zfscale.errors import ZfscaleError
from zfscale.methods.base import INFERENCE_BATCH, FeatureCache, Learner, embed
from zfscale.methods.old_loss import OldLoss
from zfscale.methods.prototypes import class_means
from zfscale.models.heads import CosineHead
from zfscale.streams.class_incremental import Task
from zfscale.training.augment import Augment
from zfscale.training.fit import Look
from zfscale.training.journal import Journal
from zfscale.training.seeds import ADAPTER, HEAD

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


class ClassLearner(Learner[Task]):
    """Learns tasks in order; predicts, at any time, among all classes seen so far."""

    def __init__(self, spec: TrialSpec, base: Any, cache: FeatureCache | None = None) -> None:
        super().__init__(spec, base, cache)
        self.old: OldLoss | None = None  # what is measured of earlier tasks during training, if anything
        self._test_features: dict[tuple[int, int], torch.Tensor] = {}
        self._looked_at: tuple[np.ndarray | None, dict[int | None, torch.Tensor]] = (None, {})

    @cached_property
    def width(self) -> int:
        """Of a feature."""
        found: int = self.network.encoder.width
        return found

    def augment(self) -> Augment | None:
        """Random crops and flips, if the stream has any."""
        s = self.spec.stream
        if s.random_crop == 1 and not s.random_flip:
            return None
        return Augment(s.random_crop, s.random_flip, self.network.encoder.pixels)

    def look(self, task: Task, journal: Journal) -> Look | None:
        """The loss of earlier tasks, where it is watched."""
        return None if self.old is None else partial(self.old.look, self, task, journal)

    def logits(self, images: np.ndarray, task: Task) -> torch.Tensor:
        """Logits [N, K] of images among all classes up to those of `task`, were its training to end now.

        Errors: ZfscaleError where a method does not say.
        """
        raise ZfscaleError(f"{self.spec.method.name} has no `logits`, which stream.old_loss_every and measuring need")

    @abstractmethod
    def predict(self, task: Task) -> np.ndarray:
        """Labels int64 [N] for the test images of `task`, already learned, among all classes seen so far."""

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
        if key not in self.cache:
            self.cache[key] = self.features(task.train_x if split == "train" else task.test_x, None)
        return self.cache[key]

    def frozen_test_features(self, task: Task, adapter_set: int) -> torch.Tensor:
        """Features of the task's test images in a subspace that no longer changes; computed once."""
        key = (task.index, adapter_set)
        if key not in self._test_features:
            self._test_features[key] = self.features(task.test_x, adapter_set)
        return self._test_features[key]

    def frozen_features(self, images: np.ndarray, adapter_set: int | None = None) -> torch.Tensor:
        """Features in a subspace that no longer changes, once for as long as it is the same array that is asked for.

        Who looks at a learner does so again and again, at the same images.
        """
        if self._looked_at[0] is not images:
            self._looked_at = (images, {})
        kept = self._looked_at[1]
        if adapter_set not in kept:
            kept[adapter_set] = self.features(images, adapter_set)
        return kept[adapter_set]

    def start_adapter(self, task: Task) -> None:
        """A fresh adapter and a cosine head for the task's classes, to be trained.

        The adapter changes nothing yet, so that the classes' mean features, if the head starts as these, are the
        pretrained model's.
        """
        options: Any = self.spec.method.filled()
        scale, start = getattr(options, "head_scale", 1.0), getattr(options, "head_start", "random")
        head = CosineHead(self.width, len(task.labels), self.seed(HEAD, task), scale)
        if start == "prototypes":
            head.weight.data = class_means(self.pretrained_features(task, "train"), task.train_y, task.labels)
        assert self.network.adapters is not None
        self.network.adapters.add(self.seed(ADAPTER, task))
        self.network.head = head.to(self.engine.device)

    def freeze(self) -> None:
        """From here on nothing present is trainable; what is added later is."""
        self.network.freeze()
