"""Runs the missing trials of a sweep with Ray Tune. Parquet is the truth: Tune's own state is thrown away."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune

from zfscale.errors import SpecError, ZfscaleError
from zfscale.records import Outcome
from zfscale.sinks.parquet import TABLES
from zfscale.sinks.read import statuses
from zfscale.spec import Sweep, TrialSpec
from zfscale.sweep.inputs import Inputs
from zfscale.sweep.progress import Progress
from zfscale.sweep.todo import missing
from zfscale.sweep.todo import root as results
from zfscale.sweep.worker import Worker, attempts_of, open_sinks

RETRIES = 1  # of a trial whose worker died (killed, out of memory), within one run
QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TOKENIZERS_PARALLELISM": "false",
}


class RecordDeaths(tune.Callback):
    """A worker that died cannot write its trial's row: the driver does."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune has given the trial up."""
        spec = TrialSpec.from_json(trial.config["spec"])
        root = results(self.sweep)
        told = Path(trial.error_file).read_text().strip() if trial.error_file else ""
        error = f"{told}\nthe worker died {RETRIES + 1} times".strip()
        sink = open_sinks(root, self.sweep.spec.name, spec, self.sweep.spec.output)
        sink.close(Outcome("failed", attempts=attempts_of(root, spec.trial_id), error=error))


def run(sweep: Sweep, retry_failed: bool = False, address: str = "local") -> list[TrialSpec]:
    """Run the trials of the sweep that are missing; those still without a result (after Ctrl-C) come back.

    `address` is Ray's: "local" starts a cluster on this machine, "auto" and "HOST:PORT" are of one that runs.
    Errors: ZfscaleErrors (model, data, resources) before any trial starts. A failing trial is a row, not an error.
    """
    root = results(sweep).absolute()
    with _alone(root):
        clean(root, sweep)
        todo = missing(sweep, retry_failed)
        if not todo:  # another run has just finished them
            return []
        try:
            inputs = Inputs(todo)
        except SpecError as error:
            raise SpecError(f"{sweep.path}: {error}") from error
        forget(root, todo)
        os.environ.update({k: v for k, v in QUIET.items() if k not in os.environ})
        connect(address)
        try:
            _check_resources(sweep)
            with Progress(sweep, root) as progress:
                _tuner(sweep, todo, inputs, [RecordDeaths(sweep), progress], root / ".tmp" / "tune").fit()
        finally:
            ray.shutdown()
            shutil.rmtree(root / ".tmp", ignore_errors=True)
    return missing(sweep)


def connect(address: str) -> None:
    """Start a cluster here ("local") or join one that runs; ZfscaleError if there is none."""
    own = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except ConnectionError as error:
        raise ZfscaleError(f"--address {address}: {str(error).partition(chr(10))[0]}") from error


def clean(root: Path, sweep: Sweep) -> None:
    """Remove what a worker that was killed right after it wrote its trial's tables could not: it is needed no more."""
    status = statuses(root)
    for trial in sweep.trials:
        if status.get(trial.trial_id) == "finished":
            (root / ".ledgers" / trial.trial_id).unlink(missing_ok=True)
            if trial.optimizer.first_order is None:
                shutil.rmtree(root / "snapshots" / trial.trial_id, ignore_errors=True)


def forget(root: Path, todo: list[TrialSpec]) -> None:
    """Remove what earlier attempts of trials left, so that no table holds rows of a trial that is not there."""
    shutil.rmtree(root / ".tmp", ignore_errors=True)
    for table in TABLES:
        for trial in todo:
            (root / table / f"{trial.trial_id}.parquet").unlink(missing_ok=True)


def _check_resources(sweep: Sweep) -> None:
    """Tune would wait for ever for what no node can give."""
    asked, there = sweep.spec.resources, ray.cluster_resources()
    for name, kind, amount in (("cpus", "CPU", asked.cpus), ("gpus", "GPU", asked.gpus)):
        have = there.get(kind, 0)
        if amount > have:
            raise SpecError(f"{sweep.path}: resources.{name}: {amount:g} asked for each trial; there are {have:g}")


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the results directory; the kernel lets go of it when the process ends, however it ends."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ZfscaleError(f"{root}: another run of this sweep is writing here; wait for it or stop it") from error
        yield


def _tuner(sweep: Sweep, todo: list[TrialSpec], inputs: Inputs, callbacks: list[Any], scratch: Path) -> tune.Tuner:
    r = sweep.spec.resources
    output = sweep.spec.output.model_copy(update={"dir": str(Path(sweep.spec.output.dir).absolute())})
    fixed = {"output": output, "name": sweep.spec.name, "cpus": r.cpus, "path": [str(Path.cwd()), *sys.path]}
    worker = tune.with_parameters(Worker, shared=inputs.put(ray.put), **fixed)
    return tune.Tuner(
        tune.with_resources(worker, {"CPU": r.cpus, "GPU": r.gpus}),
        param_space={"spec": tune.grid_search([t.to_json() for t in todo])},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            max_concurrent_trials=r.max_concurrent,
            trial_name_creator=_trial_id,
            trial_dirname_creator=_trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            callbacks=callbacks,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def _trial_id(trial: Any) -> str:
    return TrialSpec.from_json(trial.config["spec"]).trial_id
