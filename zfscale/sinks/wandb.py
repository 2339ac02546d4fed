"""Weights & Biases, the live view: one run per trial, grouped by sweep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zfscale.metrics.catalogue import CURVES, FORWARDS, MATRICES
from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.results.layout import WANDB
from zfscale.results.storage import storage
from zfscale.sinks.about import About
from zfscale.sinks.global_step import GlobalStep
from zfscale.sinks.wandb_finish import finish
from zfscale.sinks.wandb_start import Named, data_beside, start
from zfscale.spec import WandbSpec

STEP, STAGE = "step", "stage"  # what is drawn against
LOSS, LR = "loss", "lr"


class WandbSink:
    """Streams a trial to W&B.

    History: `loss`, `lr`, `forwards` against `step` (over all tasks), a row for `every` steps of a task, since a row
    costs 0.4 ms and each step is in Parquet; `stage_accuracy` or `stage_loss` against `stage`. At the end: the matrix
    of single tasks as table `accuracy_matrix` or `loss_matrix`, and the outcome as summary.

    Args:
        about: The trial; runs lie in `<root>/wandb/`, in a bucket from their end on. Local runs of the same id are
            removed: they are of an attempt before this one.
        options: Mode ("online" or "offline"), project, and how many steps a row stands for.
    """

    Options = WandbSpec

    def __init__(self, about: About, options: WandbSpec) -> None:
        self._storage = storage(about.root)
        self._root = self._storage.local(WANDB).parent
        self._matrices: dict[str, list[list[float]]] = {}
        self._number, self._every, self._steps = GlobalStep(), options.every, list[Step]()
        named = Named(about.trial_id, run_name(about.spec), about.sweep, tags=tags(about.spec))
        self._run = start(self._storage, named, about.spec, options)
        for metric in (LOSS, LR, FORWARDS):
            self._run.define_metric(metric, step_metric=STEP)
        for metric in CURVES:
            self._run.define_metric(metric, step_metric=STAGE)

    @property
    def url(self) -> str | None:
        """Where W&B shows the run; None of one that is offline."""
        return None if self._run.offline else self._run.url

    def step(self, record: Step) -> None:
        """Keeps one training step, and logs those that make a row."""
        if self._steps and record.task != self._steps[-1].task:
            self._log_steps()
        self._steps.append(record)
        self._last = self._number(record)
        if len(self._steps) == self._every:
            self._log_steps()

    def query(self, record: Query) -> None:
        """Queries stay in Parquet: they are for replay, not for looking at."""

    def eval(self, record: Eval) -> None:
        """Logs what is measured over all tasks of a stage; keeps that of single tasks for the matrix."""
        if record.metric in CURVES:
            self._log_steps()
            self._run.log({STAGE: record.stage, record.metric: record.value})
        elif record.metric in MATRICES:
            self._matrices.setdefault(record.metric, []).append([record.stage, record.task, record.value])

    def close(self, outcome: Outcome) -> None:
        """Logs summary and matrix and ends the run, with exit code 1 when the trial failed."""
        self._log_steps()
        values = {"status": outcome.status.value, **outcome.measures}
        self._run.summary.update({name: value for name, value in values.items() if value is not None})
        try:
            for metric, rows in self._matrices.items():
                self._log_matrix(metric, rows)
        finally:
            finish(self._storage, self._run, int(outcome.status is Status.FAILED))

    def _log_matrix(self, metric: str, rows: list[list[float]]) -> None:
        """Logs a table, which W&B keeps as a file of the run and as an artifact.

        Before an artifact is made, the server is asked. If it does not answer in some 20 s, the file alone is made.
        """
        import wandb

        name, columns = table_of(metric), list[str | int]([STAGE, "task", metric])
        with data_beside(self._root):
            try:
                self._run.log({name: wandb.Table(columns=columns, data=rows)})
            except wandb.errors.Error:
                table = wandb.Table(columns=columns, data=rows)
                table.bind_to_run(self._run, name, self._run.step)
                self._run.log({name: table})

    def _log_steps(self) -> None:
        """One row for the steps that are kept: their mean loss, and the last one's number, rate and forwards.

        A loss that is NaN or infinite, of a step that was not taken, is left out where there are others.
        """
        if not self._steps:
            return
        last, numbers = self._steps[-1], [step.loss for step in self._steps if math.isfinite(step.loss)]
        loss = math.fsum(numbers) / len(numbers) if numbers else last.loss
        self._run.log({STEP: self._last, LOSS: loss, LR: last.lr, FORWARDS: last.forwards})
        self._steps = []


def table_of(metric: str) -> str:
    """The name of the table of a matrix.

    >>> table_of("accuracy")
    'accuracy_matrix'
    """
    return f"{metric}_matrix"


def run_name(config: Mapping[str, Any]) -> str:
    """What a person calls the trial.

    >>> run_name({"method": {"name": "ease"}, "optimizer": {"name": "zo-sgd", "lr": 0.1}, "seed": 0})
    'ease zo-sgd seed 0'
    """
    names = [config[part]["name"] for part in ("method", "optimizer") if part in config]
    return " ".join([*names, *([f"seed {config['seed']}"] if "seed" in config else [])])


def tags(config: Mapping[str, Any]) -> list[str]:
    """What a person filters trials by.

    >>> tags({"method": {"name": "ease"}, "optimizer": {"name": "zo-sgd"}, "stream": {"dataset": "digits"}})
    ['ease', 'zo-sgd', 'digits']
    """
    places = (("method", "name"), ("optimizer", "name"), ("stream", "dataset"), ("model", "name"))
    found = (config.get(block, {}).get(key) for block, key in places)
    return [value for value in found if isinstance(value, str)]
