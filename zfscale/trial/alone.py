"""The reference of the forward transfer: what a fresh model makes of a task that it is trained on alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zfscale.methods import catalogue as methods
from zfscale.records import Eval, Outcome, Query, Step
from zfscale.training.journal import Journal

if TYPE_CHECKING:
    from zfscale.methods.classes import ClassLearner
    from zfscale.spec import TrialSpec
    from zfscale.streams.class_incremental import ClassIncremental, Task


class Unheard:
    """A sink that keeps nothing: the steps of the reference are not the trial's."""

    def step(self, record: Step) -> None:
        """Nothing."""

    def query(self, record: Query) -> None:
        """Nothing."""

    def eval(self, record: Eval) -> None:
        """Nothing."""

    def close(self, outcome: Outcome) -> None:
        """Nothing."""


def accuracy_alone(spec: TrialSpec, base: Any, task: Task, stream: ClassIncremental) -> float:
    """a~_j: the accuracy on a task, among its own classes, of the trial's method and optimizer if it is their first.

    Source: Feng et al., ZeroFlow, ICML 2025 (Table 8), who train "a randomly initialised model" on each task.
    NOTE: random, from the trial's seed, is what the method adds to the pretrained model and trains, adapters and heads.
    With a random backbone the difference would say what pretraining did, not what earlier tasks did; and the paper's
    values, -8.6 to -6.9 over 20 tasks of CIFAR-100, say that the reference is the better one. It depends on all of
    the spec, the optimizer too, so it is computed once for each trial; a trial that is resumed while it is
    computed computes it again.
    """
    only = copy.copy(stream)
    only.arrange([first(task)])
    # A cache of its own: in the trial's, another task is the first.
    spec = spec.model_copy(update={"fork": None})  # it shares no step
    method: ClassLearner = methods.method(spec.method.name).load()(spec, base, {})
    for stage in method.stages(only):
        method.learn(stage, Journal(Unheard()))
    (alone,) = only
    return float((method.predict(alone) == alone.test_y).mean())


def first(task: Task) -> Task:
    """The task as the first of a stream: its labels count from 0."""
    start = task.labels.start
    moved = {"train_y": task.train_y - start, "test_y": task.test_y - start}
    return replace(task, index=1, labels=range(len(task.labels)), **moved)
