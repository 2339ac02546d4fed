"""Weights & Biases, the live view: one run per trial, grouped by sweep. The only importer of `wandb`.

Online mode that cannot connect falls back to an offline run that `zfscale sync` uploads later, and so do the trials of
the next minutes, without a try. W&B is asked for nothing but what is logged here: no console, code, git, packages, host
or system statistics, which also takes a run's cost from 0.2 s to about 0.02 s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zfscale.errors import ZfscaleError, one_line
from zfscale.metrics.catalogue import CURVES, MATRICES
from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.results.layout import WANDB, note_of
from zfscale.results.storage import Storage, storage
from zfscale.sinks.about import About
from zfscale.sinks.global_step import GlobalStep
from zfscale.sinks.guard import warn
from zfscale.sinks.wandb_runs import remove_runs, root_of
from zfscale.spec import WandbSpec

KEY = "WANDB_API_KEY"
QUIET: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "host": "",
    "init_timeout": 30.0,
    "finish_timeout": 120.0,  # what is not uploaded by then stays on disk for `wandb sync --include-online`
    "login_timeout": 1.0,
    "use_dot_wandb": False,
    "symlink": False,
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "x_save_requirements": False,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
}


AWAY = "W&B cannot connect, the run is kept offline instead"
REST = 600.0  # seconds for which runs of a sweep do not try again, after one that could not connect


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
        self._run = self._start(about, options)

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
            with _data_beside(self._root):
                table = wandb.Table(columns=["stage", "task", metric], data=rows)
                self._run.log({f"{metric}_matrix": table})
        values = {"status": outcome.status.value, **outcome.measures}
        self._run.summary.update({name: value for name, value in values.items() if value is not None})
        self._run.finish(exit_code=int(outcome.status is Status.FAILED))
        self._storage.send(WANDB)

    def _start(self, about: About, options: WandbSpec) -> Any:
        """The run."""
        import wandb

        if key := os.environ.get(KEY):  # of a file, with the end of its line: W&B would refuse it
            os.environ[KEY] = key.strip()
        wandb.setup(wandb.Settings(silent=True))
        remove_runs(self._root, about.trial_id)
        root = root_of(self._root, about.trial_id)
        root.mkdir(parents=True, exist_ok=True)
        named = {"root_dir": str(root), "project": options.project, "run_group": about.sweep}
        named |= {"run_job_type": "trial", "run_id": about.trial_id, "run_name": run_name(about.spec)}
        known = wandb.Settings.model_fields  # an older W&B has fewer, and refuses the others
        settings: dict[str, Any] = {name: value for name, value in QUIET.items() if name in known} | named
        settings |= {"reinit": "create_new"}
        mode = "offline" if options.mode == "online" and _rests(self._storage) else options.mode
        try:
            run = wandb.init(config=about.spec, settings={**settings, "mode": mode})
        except Exception as error:
            if mode != "online":
                raise
            warn(self._storage, WANDB, AWAY, error)
            wandb.teardown()  # else the service holds the id of the failed run
            wandb.setup(wandb.Settings(silent=True))
            remove_runs(self._root, about.trial_id)
            run = wandb.init(config=about.spec, settings={**settings, "mode": "offline"})
        for metric in ("loss", "lr", "forwards"):
            run.define_metric(metric, step_metric="step")
        for metric in CURVES:
            run.define_metric(metric, step_metric="stage")
        return run


def _rests(there: Storage) -> bool:
    """Whether another run of the sweep could not connect just now: a try takes half a minute, of every trial."""
    note = note_of(WANDB)
    with suppress(OSError):  # a bucket that does not answer now
        told = (there.read(note) or b"").startswith(AWAY.encode())
        return told and time.time() - there.times("").get(note, 0.0) < REST
    return False


def sign_in() -> None:
    """Find the user's API key and ask the server whether it is one.

    Raises:
        ZfscaleError: There is none, or the server does not answer or does not take it.
    """
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True))
        wandb.login(timeout=0)
    except wandb.errors.Error as error:
        raise ZfscaleError(f"W&B: {one_line(error)}") from error
    finally:
        wandb.teardown()


def run_name(config: Mapping[str, Any]) -> str:
    """What a person calls the trial.

    >>> run_name({"method": {"name": "ease"}, "optimizer": {"name": "zo-sgd", "lr": 0.1}, "seed": 0})
    'ease zo-sgd seed 0'
    """
    names = [config[part]["name"] for part in ("method", "optimizer") if part in config]
    return " ".join([*names, *([f"seed {config['seed']}"] if "seed" in config else [])])


@contextmanager
def _data_beside(root: Path) -> Iterator[None]:
    """Stages artifacts under `<root>/wandb`, not in the user's home, unless the user chose a place."""
    name = "WANDB_DATA_DIR"
    if os.environ.get(name):
        yield
        return
    os.environ[name] = str(root.absolute() / WANDB)
    try:
        yield
    finally:
        del os.environ[name]
