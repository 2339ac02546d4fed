"""Runs the missing trials of a sweep with Ray Tune. Parquet is the truth: Tune's own state is thrown away."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune

from zfscale.errors import SpecError
from zfscale.results.check import Found, first
from zfscale.results.schema import TABLES
from zfscale.sinks.read import statuses
from zfscale.spec import Sweep, TrialSpec
from zfscale.storage import Storage
from zfscale.sweep.cluster import check_nodes, check_resources, connected, module_path, where
from zfscale.sweep.hold import held
from zfscale.sweep.inputs import Inputs
from zfscale.sweep.launch import LOCAL, as_ctrl_c
from zfscale.sweep.marks import progress
from zfscale.sweep.progress import Progress
from zfscale.sweep.ranks import bundles
from zfscale.sweep.todo import check, left_of, missing
from zfscale.sweep.todo import root as results
from zfscale.sweep.unfinished import REFUSED, Unfinished
from zfscale.sweep.worker import Worker, record_failure

RETRIES = 3  # of a trial whose worker died (killed, out of memory, its node lost), within one run


class RecordDeaths(tune.Callback):
    """A worker that died cannot write its trial's row: the driver does, once it is clear that the trial is to blame."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.reached: dict[str, int] = {}  # Tune's id of a trial -> its progress when it was last started

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has a worker."""
        self.reached[trial.trial_id] = 0
        with suppress(OSError):  # a bucket that does not answer now
            self.reached[trial.trial_id] = progress(results(self.sweep), _trial_id(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune has given the trial up. One that still got further, or that no worker took, is left to the next run."""
        root, spec = results(self.sweep), TrialSpec.from_json(trial.config["spec"])
        told = Path(trial.error_file).read_text().strip() if trial.error_file else ""
        if REFUSED in told:  # by our own storage: `Unfinished` says so
            return
        if spec.trial_id in statuses(root, [spec.trial_id]):
            return
        if trial.trial_id not in self.reached:
            print(f"trial {spec.trial_id}: no worker could start it: {told.rpartition(chr(10))[2]}", file=sys.stderr)
        elif progress(root, spec.trial_id) > self.reached[trial.trial_id]:
            print(f"trial {spec.trial_id}: its workers died {RETRIES + 1} times; it goes on next time", file=sys.stderr)
        else:
            error = f"{told}\nthe worker died {RETRIES + 1} times".strip()
            record_failure(root, self.sweep.spec.name, spec, self.sweep.spec.output, error)


def run(sweep: Sweep, retry_failed: bool = False, address: str = "local") -> list[TrialSpec]:
    """Run the trials of the sweep that are missing; those still without a result (after Ctrl-C) come back.

    `address` is Ray's: "local" starts a cluster on this machine, "auto" and "HOST:PORT" are of one that runs.
    Errors: ZfscaleErrors (model, data, cluster) before any trial starts. A failing trial is a row, not an error.
    """
    with held(results(sweep)) as me:
        todo = begin(sweep, retry_failed)
        if not todo:  # another run has just finished them
            return []
        inputs = load(sweep, todo)
        with connected(address, todo), as_ctrl_c():  # again: Ray has taken SIGTERM
            return drive(sweep, todo, inputs.put(ray.put), me, own=address == LOCAL)


def begin(sweep: Sweep, retry_failed: bool) -> list[TrialSpec]:
    """The trials that are to be run, after what earlier runs had to leave behind is removed."""
    there = results(sweep)
    there.check()
    found = check(sweep)
    for line in notes(found):
        print(line, file=sys.stderr)
    clean(there, sweep, {row["trial_id"] for row in found.rows if row["status"] == "finished"})
    return left_of(sweep, found, retry_failed)


def notes(found: Found) -> list[str]:
    """What is told about files that are damaged or not ours: the first few, and how many more there are."""
    damaged = [f"damaged: {fault}; trial {fault.trial_id} is made again" for fault in found.faults]
    return [*first(damaged), *first([f"ignored: {name}: not named by a trial's id" for name in found.ignored])]


def load(sweep: Sweep, todo: Iterable[TrialSpec]) -> Inputs:
    """Models and data; an error of the file says which file."""
    try:
        return Inputs(todo)
    except SpecError as error:
        raise SpecError(f"{sweep.path}: {error}") from error


def drive(sweep: Sweep, todo: list[TrialSpec], shared: dict[str, Any], me: str, own: bool = False) -> list[TrialSpec]:
    """Run trials on the cluster that this process is connected to; those left without a result come back.

    `shared` maps keys of inputs to references, `me` is this run's id; `own` says that this process started the cluster.
    """
    there = results(sweep)
    check_resources(sweep, own)
    check_nodes(there, me, sweep, todo)
    forget(there, todo)
    try:
        with Progress(sweep, there) as display:
            _tuner(sweep, todo, shared, me, [RecordDeaths(sweep), Unfinished(), display], there.scratch / "tune").fit()
    finally:
        there.clear()
    return missing(sweep)


def clean(there: Storage, sweep: Sweep, done: set[str]) -> None:
    """Remove what a worker that was killed right after it wrote its trial's tables could not: it is needed no more."""
    hybrid = {trial.trial_id for trial in sweep.trials if trial.optimizer.first_order is not None}
    mine = {trial.trial_id for trial in sweep.trials} & done
    for folder, over in ((".ledgers", mine), ("snapshots", mine - hybrid)):
        for name in there.names(folder):
            if name.rpartition("/")[2] in over:
                there.remove(name)


def forget(there: Storage, todo: list[TrialSpec]) -> None:
    """Remove what earlier attempts of trials left, so that no table holds rows of a trial that is not there."""
    there.clear()
    again = {f"{table}/{trial.trial_id}.parquet" for table in TABLES for trial in todo}
    for table in TABLES:
        for name in again.intersection(there.names(table)):
            there.remove(name)


def _tuner(
    sweep: Sweep, todo: list[TrialSpec], shared: dict[str, Any], me: str, callbacks: list[Any], scratch: Path
) -> tune.Tuner:
    r = sweep.spec.resources
    place, name = where(sweep)
    output = sweep.spec.output.model_copy(update={"dir": place})
    fixed = {"output": output, "name": name, "run": me, "resources": r, "path": module_path()}
    worker = tune.with_parameters(Worker, shared=shared, **fixed)
    return tune.Tuner(
        tune.with_resources(worker, bundles(r)),
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
