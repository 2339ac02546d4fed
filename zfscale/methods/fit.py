"""The training loop of one task, for forward-only and first-order optimizers alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from zfscale.errors import ZfscaleError
from zfscale.methods.journal import Journal
from zfscale.models.engine import Engine
from zfscale.models.network import Network
from zfscale.streams.class_incremental import Task
from zfscale.zo.estimate import Estimate, Problem
from zfscale.zo.leaves import trainable
from zfscale.zo.ledger import Entry
from zfscale.zo.noise import Noise, derive
from zfscale.zo.perturb import Perturbation
from zfscale.zo.sparse import Sparse
from zfscale.zo.step import Stepper, StepResult, make_optimizer

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec

# What the seeds derived from a trial's, a task's and a step's are for; no two uses share a path.
HEAD, ADAPTER, ORDER, STEP, QUERY, DROPOUT, SPARSE = range(7)
FIRST_ORDER = ("fo-sgd", "fo-adam")


class Diverged(ZfscaleError):
    """Training left the numbers: a loss that is not finite."""


class Batch:
    """The current batch and its mean cross-entropy: one forward of the engine a call."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.x = self.y = torch.empty(0)

    def load(self, x: np.ndarray, y: np.ndarray) -> None:
        """uint8 images [B, C, H, W] and labels [B] onto the device."""
        self.x = torch.tensor(x, device=self.engine.device)
        self.y = torch.tensor(y, device=self.engine.device)

    def loss(self) -> torch.Tensor:
        """Scalar, float32."""
        return F.cross_entropy(self.engine(self.x).float(), self.y)


class Trainer(Protocol):
    """Takes optimizer steps on `batch`."""

    batch: Batch

    def step(self, seed: int, lr: float) -> StepResult:
        """`seed` is the step's own: whatever is random in it derives from it."""
        ...

    def replay(self, taken: Entry) -> None:
        """Take again a step of an earlier attempt."""
        ...

    def close(self) -> None:
        """Leave the network as it was found, but for its weights."""
        ...


class ForwardOnly:
    """A zeroth-order or forward-gradient optimizer; the network runs in eval mode, so that L is a function."""

    def __init__(self, network: Network, engine: Engine, spec: TrialSpec, task_index: int) -> None:
        leaves, o = trainable(network), spec.optimizer
        engine.train(False)
        self.batch = batch = Batch(engine)
        self._perturbation = Perturbation(network, leaves)
        mask = None
        if o.sparsity:
            mask = Sparse(derive(spec.seed, task_index, SPARSE), o.sparsity, leaves.total, leaves.device).mask
        noise = Noise(o.noise, leaves.device, keep=o.queries + 1, mask=mask)
        problem = Problem(batch.loss, leaves, self._perturbation, noise)
        self._stepper = Stepper(make_optimizer(o), problem)
        self._queries = o.queries

    def step(self, seed: int, lr: float) -> StepResult:
        """Algorithm 1, with seeds derived from the step's."""
        return self._stepper.step([derive(seed, QUERY, i) for i in range(self._queries)], lr)

    def replay(self, taken: Entry) -> None:
        """Take a step again as it was taken: no forward, the same weights and state, bit for bit."""
        estimate = Estimate(taken.seeds, taken.coefficients, taken.loss, exact=False, forwards=0)
        self._stepper.commit(estimate, taken.lr, taken.accepted)

    def close(self) -> None:
        """Take the perturbation's hooks off."""
        self._perturbation.remove()


class FirstOrder:
    """Backpropagation through the engine; the network runs in train mode, its dropout drawn from the step's seed."""

    def __init__(self, network: Network, engine: Engine, spec: TrialSpec, task_index: int) -> None:
        o = spec.optimizer
        parameters = [p for p in network.parameters() if p.requires_grad]
        if o.name == "fo-sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(
                parameters, o.lr, momentum=o.momentum, weight_decay=o.weight_decay
            )
        else:
            optimizer = torch.optim.Adam(parameters, o.lr, betas=(o.beta1, o.beta2), weight_decay=o.weight_decay)
        self._optimizer = optimizer
        self._inference = engine
        self.batch = Batch(Engine(network, spec.train.batch_size, optimizer))
        self.batch.engine.train(True)

    def step(self, seed: int, lr: float) -> StepResult:
        """One backward and one step of torch.optim's rule."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        with torch.random.fork_rng(devices=_own(self._inference.device)):
            torch.manual_seed(derive(seed, DROPOUT))
            loss = self.batch.loss()
            self.batch.engine.backward_and_step(loss)
        return StepResult(float(loss.detach()), (), (), 1, forwards=1)

    def replay(self, taken: Entry) -> None:
        """Never asked for: a first-order trial keeps no ledger and starts again from the beginning."""
        raise AssertionError("a first-order step cannot be replayed")

    def close(self) -> None:
        """Back to evaluation."""
        self._inference.train(False)


def _own(device: torch.device) -> list[torch.device]:
    return [] if device.type == "cpu" else [device]


def fit(network: Network, engine: Engine, task: Task, offset: int, spec: TrialSpec, journal: Journal) -> None:
    """Train the network's trainable parameters on `task`; class c of the stream is logit c - offset.

    Errors: Diverged if a loss is not finite.
    """
    kind = FirstOrder if spec.optimizer.name in FIRST_ORDER else ForwardOnly
    trainer: Trainer = kind(network, engine, spec, task.index)
    order = derive(spec.seed, task.index, ORDER)
    total = spec.train.epochs * steps_per_epoch(len(task.train_y), spec.train.batch_size)
    try:
        for step, rows in enumerate(batches(len(task.train_y), spec.train.batch_size, spec.train.epochs, order)):
            if taken := journal.replayed(task.index, step):
                trainer.replay(taken)
                continue
            trainer.batch.load(task.train_x[rows], task.train_y[rows] - offset)
            lr = spec.optimizer.lr * schedule(spec.optimizer.schedule, step, total)
            result = trainer.step(derive(spec.seed, task.index, STEP, step), lr)
            if not math.isfinite(result.loss):
                raise Diverged(
                    f"task {task.index}, step {step}: the loss is {result.loss}; a smaller optimizer.lr may help"
                )
            journal.record(task.index, step, lr, result)
    finally:
        trainer.close()


def steps_per_epoch(images: int, batch_size: int) -> int:
    """The last batch of an epoch may be smaller; it is not dropped."""
    return -(-images // batch_size)


def batches(images: int, batch_size: int, epochs: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of each batch: every epoch a new permutation, a function of (seed, epoch) alone."""
    for epoch in range(epochs):
        order = np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(images)
        for start in range(0, images, batch_size):
            yield order[start : start + batch_size]


def schedule(name: str, step: int, total: int) -> float:
    """Factor on the learning rate: constant 1, or cosine from 1 to 0 over the task."""
    return 1.0 if name == "constant" else 0.5 * (1 + math.cos(math.pi * step / total))
