"""The forward-only trainers of a stage, one after the other: in a fork, those of earlier trials come first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from zfscale.engine.deepspeed import Engine
from zfscale.models.trained import Trained
from zfscale.streams.base import Stage
from zfscale.training.objective import Loss, plain
from zfscale.training.seeds import STEP
from zfscale.training.trainers import ForwardOnly
from zfscale.zo.philox import derive

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


@dataclass(frozen=True)
class Leg:
    """Steps of a stage that one trial took, and that trial as it is trained on the stage.

    Args:
        stop: The first step of the stage that is another's; None of the trial itself, whose steps come last.
        spec: The trial.
    """

    stop: int | None
    spec: TrialSpec

    @cached_property
    def seed(self) -> int:
        """The seed of what these steps draw."""
        return self.spec.step_seed


class Relay:
    """Makes the trainer of a step when it is asked for; it goes on where the one before is, whose leg is over.

    Args:
        network: What is trained.
        engine: Runs its forwards.
        task: The stage.
        legs: In the order of their steps, the trial itself last.
        loss: What the steps minimise, made of each trial's objective; None where no loss is asked for.
    """

    def __init__(
        self, network: Trained, engine: Engine, task: Stage, legs: Sequence[Leg], loss: Loss | None = None
    ) -> None:
        self._network, self._engine, self._task, self._legs, self._loss = network, engine, task, legs, loss
        self._trainer: ForwardOnly | None = None
        self._leg: Leg | None = None

    def spec(self, step: int) -> TrialSpec:
        """The trial that took a step of the stage, or is to take it."""
        return self._of(step).spec

    def seed(self, step: int) -> int:
        """The seed of what a step draws."""
        return derive(self._of(step).seed, self._task.index, STEP, step)

    def shared(self, step: int) -> bool:
        """Whether it is a step of an earlier trial, which can only be replayed."""
        return self._of(step).stop is not None

    def at(self, step: int) -> ForwardOnly:
        """The trainer of a step. Steps are asked for in their order; the trainers of earlier legs are void then."""
        leg = self._of(step)
        if self._trainer is None or leg is not self._leg:
            replaying, loss = self._loss is None, self._loss or plain
            given = (self._network, self._engine, leg.spec, self._task, replaying, loss)
            self._trainer, self._leg = ForwardOnly(*given, before=self._trainer), leg
        return self._trainer

    def _of(self, step: int) -> Leg:
        return next(leg for leg in self._legs if leg.stop is None or step < leg.stop)
