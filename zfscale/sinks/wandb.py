"""Weights & Biases, the live view: one run per trial, grouped by sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zfscale.metrics.catalogue import CURVES, MATRICES
from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.results.layout import WANDB
from zfscale.results.storage import storage
from zfscale.sinks.about import About
from zfscale.sinks.global_step import GlobalStep
from zfscale.sinks.wandb_start import Named, data_beside, start
from zfscale.spec import WandbSpec


class WandbSink:
    """Streams a trial to W&B.

    History: `loss`, `lr`, `forwards` against `step` (over all tasks), `stage_accuracy` or `stage_loss` against `stage`.
    At the end: the matrix of single tasks as table `accuracy_matrix` or `loss_matrix`, and the outcome as summary.

    Args:
        about: The trial; runs lie in `<root>/wandb/`, in a bucket from their end on. Local runs of the same id are
            removed: they are of an attempt before this one.
        options: Mode ("online" or "offline") and project.
    """

    Options = WandbSpec

    def __init__(self, about: About, options: WandbSpec) -> None:
        self._storage = storage(about.root)
        self._root = self._storage.local(WANDB).parent
        self._matrices: dict[str, list[list[float]]] = {}
        self._number = GlobalStep()
        named = Named(about.trial_id, run_name(about.spec), about.sweep, tags=tags(about.spec))
        self._run = start(self._storage, named, about.spec, options)
        for metric in ("loss", "lr", "forwards"):
            self._run.define_metric(metric, step_metric="step")
        for metric in CURVES:
            self._run.define_metric(metric, step_metric="stage")

    @property
    def url(self) -> str | None:
        """Where W&B shows the run; None of one that is offline."""
        return None if self._run.offline else self._run.url

    def step(self, record: Step) -> None:
        """Logs one training step at once."""
        row = {"step": self._number(record), "loss": record.loss, "lr": record.lr}
        self._run.log({**row, "forwards": record.forwards})

    def query(self, record: Query) -> None:
        """Queries stay in Parquet: they are for replay, not for looking at."""

    def eval(self, record: Eval) -> None:
        """Logs what is measured over all tasks of a stage; keeps that of single tasks for the matrix."""
        if record.metric in CURVES:
            self._run.log({"stage": record.stage, record.metric: record.value})
        elif record.metric in MATRICES:
            self._matrices.setdefault(record.metric, []).append([record.stage, record.task, record.value])

    def close(self, outcome: Outcome) -> None:
        """Logs matrix and summary and ends the run, with exit code 1 when the trial failed."""
        import wandb

        for metric, rows in self._matrices.items():
            with data_beside(self._root):
                table = wandb.Table(columns=["stage", "task", metric], data=rows)
                self._run.log({f"{metric}_matrix": table})
        values = {"status": outcome.status.value, **outcome.measures}
        self._run.summary.update({name: value for name, value in values.items() if value is not None})
        self._run.finish(exit_code=int(outcome.status is Status.FAILED))
        self._storage.send(WANDB)


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
