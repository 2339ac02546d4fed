"""What every method is: a learner of stages, with a network behind an engine."""

from __future__ import annotations

import hashlib
from abc import ABC
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import torch

from zfscale.engine.deepspeed import Engine
from zfscale.models.catalogue import family
from zfscale.registry import is_path
from zfscale.streams.base import Stage, Stream
from zfscale.training.augment import Augment
from zfscale.training.fit import Fit, Look
from zfscale.training.journal import Journal
from zfscale.training.objective import Loss, plain
from zfscale.training.relay import Leg
from zfscale.training.seeds import ADAPTER
from zfscale.zo.philox import derive

if TYPE_CHECKING:
    from zfscale.methods.catalogue import Method
    from zfscale.spec import TrialSpec

T = TypeVar("T", bound=Stage)
FeatureCache = dict[Any, Any]  # of the pretrained model; shared by the trials of a worker
INFERENCE_BATCH = 64  # images a forward outside training, at least


class Learner(ABC, Generic[T]):
    """Learns the stages of a stream in order.

    Whoever walks the stages, training or replay, takes of each: `begin`, the steps if it `trains`, `settle`; only
    training asks for the `loss` of the steps and goes on to `remember`. So a method that overrides `stages` is replayed
    on what it was trained on.

    Args:
        spec: The trial.
        base: The pretrained model, as its family loads it.
        cache: What the pretrained model alone decides, kept from trial to trial.
    """

    facts: ClassVar[Method]  # of a method from outside; ours are in the catalogue
    has_adapters: ClassVar[bool] = False  # whether it adds adapters to the model

    def __init__(self, spec: TrialSpec, base: Any, cache: FeatureCache | None = None) -> None:
        self.spec = spec
        # Not shared with a method from outside, which may feed or measure the pretrained model in another way.
        self.cache: FeatureCache = {} if cache is None or is_path(spec.method.name) else cache
        self._base = base

    @cached_property
    def network(self) -> Any:
        """The model, made when it is first asked for, which a trial that only reads `cache` need not do."""
        spec = self.spec
        network = family(spec).network(spec, self._base, derive(spec.seed, 0, ADAPTER), self.has_adapters)
        self.__dict__["network"] = network  # `made` may ask for it
        if "engine" not in self.__dict__:
            self.engine = self._behind(network)
        self.made(network)
        return network

    @cached_property
    def engine(self) -> Engine:
        """The network behind DeepSpeed, made with it; a method that sets a network of its own gets one as well."""
        network = self.network
        made: Engine | None = self.__dict__.get("engine")
        return made or self._behind(network)

    def _behind(self, network: Any) -> Engine:
        return Engine(network, self.spec.train.batch_size, settings=self.spec.engine)

    def made(self, network: Any) -> None:
        """The network has just been made and is behind its engine; nothing has run it yet."""

    def fingerprint(self) -> str:
        """SHA-256, in hex, of all parameters that have been trained; every rank has to ask for it."""
        if "network" not in vars(self):
            return hashlib.sha256().hexdigest()
        found: str = self.network.fingerprint(self.engine.ranks)
        return found

    def stages(self, stream: Stream[T]) -> Iterator[T]:
        """What is learned at each stage: the stream's tasks, unless the method adds to them."""
        return iter(stream)

    @classmethod
    def stage_count(cls, stream: Stream[T]) -> int:
        """How many `stages` there are, for a method whose stages are not the stream's tasks."""
        return len(stream)

    def learn(self, task: T, journal: Journal) -> None:
        """Learn one of the stages, the next in order, writing every step to `journal`; at rate 0, without a step."""
        for _ in self.learning(task, journal):
            pass

    def learning(self, task: T, journal: Journal) -> Iterator[None]:
        """Learn a stage, and halt after each step: whoever walks on decides whether there is another."""
        watch = journal.look(self, task)
        self.begin(task)
        if self.spec.trains and self.trains(self.spec, task.index):
            loss, augment = self.loss(task), self.augment()
            look, legs = both(self.look(task, journal), watch), self.legs(task, journal.steps)
            fit = Fit(self.network, self.engine, task, self.offset(task), legs, journal, loss, augment, look)
            yield from fit.walk()
        journal.trained(self.fingerprint())
        self.settle(task)
        self.remember(task)

    def begin(self, task: T) -> None:
        """Make what the stage will train; looks at the stage's number and labels.

        NOTE: of what is made from its examples, as a head of class means is, a replay has the bits only where forwards
        have: on the same kind of machine, with as many threads.
        """

    def offset(self, task: T) -> int:
        """The label that is logit 0 while the stage is trained."""
        return 0

    def settings(self, task: T, spec: TrialSpec) -> TrialSpec:
        """A trial of the method as it is to be trained on the stage, if it has other settings for some stages."""
        return spec

    def legs(self, task: T, taken: int) -> list[Leg]:
        """Whose the steps of the stage are, `taken` steps of the trial being before it: of a fork, earlier trials'."""
        rest = [(stop, spec) for stop, spec in self.spec.lineage if stop is None or stop > taken]
        return [Leg(None if stop is None else stop - taken, self.settings(task, spec)) for stop, spec in rest]

    def loss(self, task: T) -> Loss:
        """What is minimised on the stage, made of the objective; asked for once, before its first step."""
        return plain

    def augment(self) -> Augment | None:
        """What is made of the inputs of a batch before they are trained on, if anything."""
        return None

    def look(self, task: T, journal: Journal) -> Look | None:
        """What is called after every step of the stage with the number of those taken, if anything."""
        return None

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Whoever looks on inside may predict: the network's mode and active adapters are put back at the end."""
        network, adapters = self.network, getattr(self.network, "adapters", None)
        mode, active = network.training, None if adapters is None else adapters.active
        try:
            yield
        finally:
            network.train(mode)
            if adapters is not None:
                adapters.active = active

    def settle(self, task: T) -> None:
        """After training: freeze what is done, drop what was for training only."""

    def remember(self, task: T) -> None:
        """Keep of the stage's examples what prediction needs."""

    @classmethod
    def trains(cls, spec: TrialSpec, stage: int) -> bool:
        """Whether a trial of the spec trains on stage 1..K (or only looks at it)."""
        return True

    @classmethod
    def examples(cls, spec: TrialSpec, stream: Stream[T]) -> list[int]:
        """How many training examples each stage has that trains."""
        return [len(task.train_y) for task in stream if cls.trains(spec, task.index)]

    def seed(self, purpose: int, task: T) -> int:
        """A seed for initialising something for a stage."""
        return derive(self.spec.seed, task.index, purpose)


def both(first: Look | None, second: Look | None) -> Look | None:
    """Two looks as one."""
    if first is None or second is None:
        return first or second

    def look(taken: int) -> None:
        first(taken)
        second(taken)

    return look


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
