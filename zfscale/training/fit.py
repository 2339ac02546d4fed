"""The training loop of one task, for forward-only and first-order optimizers alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from zfscale.engine.deepspeed import Engine
from zfscale.errors import ZfscaleError
from zfscale.models.trained import Trained
from zfscale.streams.base import Stage
from zfscale.training.augment import Augment
from zfscale.training.journal import Journal
from zfscale.training.objective import Loss, plain
from zfscale.training.relay import Leg, Relay
from zfscale.training.seeds import AUGMENT, ORDER
from zfscale.training.trainers import FirstOrder, Trainer, first_order, one
from zfscale.zo.ledger import Entry
from zfscale.zo.philox import derive
from zfscale.zo.step import StepResult

PATIENCE = 20  # steps skipped in a row before the trial is given up

Steps = Iterator[tuple[int, np.ndarray]]  # (step within the task, row numbers of its batch)


Look = Callable[[int], None]  # is told how many steps of the task were taken; leaves the network as it was


class Rest(NamedTuple):
    """The steps of a stage that are still to be taken, and the number of the first; or of the last, if none is."""

    begin: int
    steps: Steps


class Diverged(ZfscaleError):
    """Training left the numbers."""


class Fit:
    """Trains the network's trainable parameters on `task`; class c of the stream is logit c - offset.

    `legs` say whose the steps are: those of a fork begin with steps of earlier trials, which are replayed. `loss` is
    what the method minimises, made of the objective; `augment` changes the inputs of a batch once a step, so
    that all forwards of the step see the same. First come the first-order epochs, if any, then the
    forward-only ones (a hybrid has both, ZeroFlow's enhancement 1). Of the first phase, a restart needs a snapshot, of
    the second the ledger. Errors: see `run`.
    """

    def __init__(
        self,
        network: Trained,
        engine: Engine,
        task: Stage,
        offset: int,
        legs: Sequence[Leg],
        journal: Journal,
        loss: Loss = plain,
        augment: Augment | None = None,
        look: Look | None = None,
    ) -> None:
        self.network, self.engine, self.task, self.offset, self.loss = network, engine, task, offset, loss
        self.journal, self.augment, self.look = journal, augment, look
        self.relay, self.spec = Relay(network, engine, task, legs, loss), legs[-1].spec
        self._skipped, self._last, self._loss = 0, 0, 0.0  # in a row, up to now; the step taken last, and its loss
        per_epoch = steps_per_epoch(len(task.train_y), self.spec.train.batch_size)
        self.total = self.spec.train.epochs * per_epoch
        self.first = first_order(self.spec).epochs * per_epoch  # of these, how many are by backpropagation

    def run(self) -> None:
        """All steps of the task. Errors: as of `walk`."""
        for _ in self.walk():
            pass

    def walk(self) -> Iterator[None]:
        """Take the steps of the task, and halt after each. One whose loss is not finite is skipped and recorded.

        Errors: Diverged after `PATIENCE` of these in a row, or if a weight is not finite; ZfscaleError if steps that a
        fork shares are not in its ledger.
        """
        images, t = len(self.task.train_y), self.spec.train
        steps = enumerate(batches(images, t.batch_size, t.epochs, derive(self.spec.seed, self.task.index, ORDER)))
        if self.first:
            yield from self._first_order(islice(steps, self.first), self.first)
        if self.first < self.total:
            self._skipped, before = 0, self.journal.steps
            rest = self._replayed(steps)
            if self.journal.steps > before:
                yield  # whoever was told of the last of these may have died before anything was done about it
            yield from self._train(self.relay.at(rest.begin), rest.steps, self.total - self.first)

    def _first_order(self, steps: Steps, count: int) -> Iterator[None]:
        # A snapshot has no state to carry over and no steps to look at: these are taken again, unless all is past.
        whole = (self.spec.optimizer.carry_state or self.look is not None) and not self.journal.complete
        resumes = self.relay.shared(count - 1) or (not whole and self.journal.finished(self.task.index, count))
        if self.engine.ranks.word_of_first(resumes):
            for step, _ in steps:
                self._take(step)
            leaves, _ = self.network.prepare(one(self.task, self.engine))
            self.journal.load(self.task.index, leaves)
            self.engine.ranks.spread([leaf.parameter.data for leaf in leaves])
            self._look(count - 1)
        else:
            name, self._skipped = first_order(self.spec).name, 0
            trainer = FirstOrder(self.network, self.engine, self.spec, self.task, name, self.loss)
            keeps = trainer.resumable and not whole
            rest = self._resumed(trainer, steps) if keeps else self._anew(steps)
            yield from self._train(trainer, rest, count)
            self.journal.save(self.task.index, trainer.leaves)

    def _anew(self, steps: Steps) -> Steps:
        self.journal.forget()
        yield from steps

    def _resumed(self, trainer: FirstOrder, steps: Steps) -> Steps:
        """Go to the checkpoint of an earlier attempt, if there is one, then hand on the rest, and keep new ones."""
        task = self.task.index
        if kept := self.journal.kept(task):
            for step, _ in islice(steps, kept.steps):
                self._take(step)
            trainer.start_from(kept.tensors)
        for step, rows in self._anew(steps):
            yield step, rows
            self.journal.checkpoint(task, step + 1, trainer.state)

    def _replayed(self, steps: Steps) -> Rest:
        """Take the steps that an earlier attempt took, or trials that this one is a fork of; the rest, as they come."""
        last = self.first
        for step, rows in steps:
            if self.journal.sampled:
                trainer, rate = self.relay.at(step), self._rate(step)
                self.journal.measured(self.task.index, step, trainer.look(self._load(trainer, step, rows), rate, step))
            taken, last = self._take(step), step
            if taken is None:
                return Rest(step, chain([(step, rows)], steps))
            self.relay.at(step).replay(taken, self._rate(step), step)
            self._look(step)
        return Rest(last, steps)

    def _take(self, step: int) -> Entry | None:
        """The step as it was taken before, told to the sinks again; None of one that is still to be taken."""
        taken, shared = self.journal.take(self.task.index, step, self._rate(step)), self.relay.shared(step)
        if taken is not None:
            self._note(step, taken, counts=not shared)
        elif shared:
            parent = self.relay.spec(step).trial_id
            raise ZfscaleError(f"{self._place(step)}: not in the ledger, though it is a step of trial {parent}")
        return taken

    def _look(self, step: int) -> None:
        if self.look is not None:
            self.look(step + 1)

    def _train(self, trainer: Trainer, steps: Steps, count: int) -> Iterator[None]:
        """Take the steps that are left of a phase's `count`."""
        patience = min(PATIENCE, count)
        self._heed(trainer, patience)  # an earlier attempt may have died before it could
        for step, rows in steps:
            rate, seed = self._rate(step), self._load(trainer, step, rows)
            result = trainer.step(seed, rate, step)
            self.journal.record(self.task.index, step, rate, result)
            self._note(step, result)
            self._heed(trainer, patience)
            self._look(step)
            yield
        self._check(trainer)
        trainer.close()
        self.journal.bytes_sent = self.engine.ranks.bytes_sent

    def _load(self, trainer: Trainer, step: int, rows: np.ndarray) -> int:
        """Put the batch of a step in its place; the step's seed."""
        seed = self.relay.seed(step)
        x = self.task.train_x[rows]
        x = x if self.augment is None else self.augment(x, derive(seed, AUGMENT))
        trainer.batch.load(x, self.task.train_y[rows] - self.offset, rows)
        return seed

    def _note(self, step: int, taken: Entry | StepResult, counts: bool = True) -> None:
        """Count the steps in a row whose loss is not finite; those that a fork shares had other options."""
        self._skipped = 0 if taken.finite or not counts else self._skipped + 1
        self._last, self._loss = step, taken.loss

    def _heed(self, trainer: Trainer, patience: int) -> None:
        """What follows from steps that were skipped."""
        if self._skipped:
            self._check(trainer)
        if self._skipped >= patience:
            raise Diverged(f"{self._place(self._last)}: no finite loss in {patience} steps, but {self._loss}")

    def _check(self, trainer: Trainer) -> None:
        finite = trainer.leaves.finite
        if trainer.leaves.sharded:  # those of the other ranks are theirs to look at
            finite = self.engine.ranks.sum([float(not finite)]) == [0.0]
        if not finite:
            raise Diverged(f"{self._place(self._last)}: weights are not finite; a smaller optimizer.lr may help")

    def _place(self, step: int) -> str:
        return f"task {self.task.index}, step {step}"

    def _rate(self, step: int) -> float:
        """The learning rate of a step; where each phase has its own schedule, that is at the step of the phase."""
        spec, start, stop = self.relay.spec(step), 0, self.total
        phase, o = first_order(spec), spec.optimizer
        if phase.own_schedule:
            start, stop = (0, self.first) if step < self.first else (self.first, self.total)
        return (phase.lr if step < self.first else o.lr) * schedule(o.schedule, step - start, stop - start, o.warmup)


def steps_per_epoch(images: int, batch_size: int) -> int:
    """The last batch of an epoch may be smaller; it is not dropped."""
    return -(-images // batch_size)


def batches(images: int, batch_size: int, epochs: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of each batch: every epoch a new permutation, a function of (seed, epoch) alone."""
    for epoch in range(epochs):
        order = np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(images)
        for start in range(0, images, batch_size):
            yield order[start : start + batch_size]


def schedule(name: str, step: int, total: int, warmup: float = 0.0) -> float:
    """Factor on the learning rate of a task: constant 1, or cosine from 1 to 0.

    warmup-cosine first climbs from 1 / w to 1 in the first w = ceil(warmup * total) steps: with a new task, the rate
    is warmed up and decayed again (Ibrahim et al. 2024, arXiv 2403.08763).
    """
    if name == "constant":
        return 1.0
    rise = math.ceil(warmup * total) if name == "warmup-cosine" else 0
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (total - rise)))
