"""Runs the missing trials of a sweep with Ray Tune. Parquet is the truth: Tune's own state is thrown away."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune

from zfscale.errors import one_line
from zfscale.records import Status
from zfscale.results.attempts import starts
from zfscale.results.check import Found, first
from zfscale.results.compact import compact, drop, pays, restart
from zfscale.results.inputs import Known, agree
from zfscale.results.layout import CERTIFICATES, LEDGERS, SNAPSHOTS, STOPS, WORKERS, certificate_of
from zfscale.results.listing import begun
from zfscale.results.lock import held
from zfscale.results.missing import Retry, check, left_of, unproposed, why_over
from zfscale.results.missing import root as results
from zfscale.results.packed import known as written
from zfscale.results.plan import Plan
from zfscale.results.proposals import known
from zfscale.results.resuming import take_up
from zfscale.results.storage import Storage
from zfscale.results.switch import settle
from zfscale.spec import Sweep, TrialSpec
from zfscale.spec.own import own_code
from zfscale.sweep.bundles import bundles
from zfscale.sweep.cluster import check_nodes, check_resources, connected
from zfscale.sweep.deaths import RETRIES, RecordDeaths
from zfscale.sweep.environment import LOCAL
from zfscale.sweep.gauges import Gauges
from zfscale.sweep.judge import Judge
from zfscale.sweep.limits import Limits
from zfscale.sweep.listed import Listed
from zfscale.sweep.node import module_path, where
from zfscale.sweep.progress import Listener, Progress
from zfscale.sweep.servers import watched
from zfscale.sweep.source import deciding, judge_of, most, planned, trials_for, typical
from zfscale.sweep.stopping import stoppable
from zfscale.sweep.tune_fixes import tune_fixes
from zfscale.sweep.unfinished import Unfinished
from zfscale.sweep.worker import Worker
from zfscale.trial.cost import expected
from zfscale.trial.fingerprints import prints_of
from zfscale.trial.inputs import Inputs, keys_of, read


def run(
    sweep: Sweep,
    *,
    retry_failed: Retry = False,
    address: str = "local",
    continue_stopped: bool = False,
    max_hours: float | None = None,
    listeners: Sequence[Listener] = (),
) -> list[TrialSpec]:
    """Run the trials of the sweep that are missing; those still without a result (after Ctrl-C) come back.

    `address` is Ray's: "local" starts a cluster on this machine, "auto" and "HOST:PORT" are of one that runs.
    Errors: ZfscaleErrors (model, data, cluster) before any trial starts. A failing trial is a row, not an error.
    """
    with held(results(sweep)) as me, stoppable(results(sweep), me, max_hours):
        sweep = known(sweep)
        reading = Reading(sweep)
        todo = begin(sweep, retry_failed, continue_stopped, reading)
        if reading.inputs is None:  # another run has just finished them
            return []
        inputs, specs = reading.inputs, (*todo, *sweep.ends)
        code, forwards = own_code(specs, sweep.spec.output), expected((*todo, *typical(sweep)), inputs)
        with connected(address, code) as place, watched():
            shared = inputs.put(ray.put)
            return drive(sweep, todo, shared, reading.hashes, me, place, forwards, listeners, address == LOCAL)


class Reading:
    """Reads what trials need, once it is known which are to be run: the inputs, if there are any, and their hashes."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep, self.hashes = sweep, Known()
        self.inputs: Inputs | None = None

    def __call__(self, todo: list[TrialSpec]) -> Known:
        """Read, for these trials and those that a searcher may propose."""
        if todo or unproposed(self.sweep):
            specs = (*todo, *self.sweep.ends)
            self.inputs = read(self.sweep, specs)
            self.hashes = prints_of(specs, self.inputs)
        return self.hashes


def begin(
    sweep: Sweep,
    retry_failed: Retry,
    continue_stopped: bool = False,
    reading: Callable[[list[TrialSpec]], Known] = lambda todo: {},
) -> list[TrialSpec]:
    """The trials that are to be run, after what earlier runs had to leave behind is removed.

    `reading` gives the content hashes of what these trials read. Errors: OtherInputs, before anything is removed, if
    results were made of something else.
    """
    there = results(sweep)
    there.check()
    settle(there)
    found = check(sweep, retry_failed)
    for line in notes(found):
        print(line, file=sys.stderr)
    todo = left_of(sweep, found, retry_failed, continue_stopped)
    again = {trial.trial_id for trial in todo}
    agree(there, found, sweep.trials, again, reading(todo), keys_of)
    clean(there, sweep, {row["trial_id"] for row in found.rows if row["status"] != Status.FAILED})
    restart(there, {row["trial_id"]: starts(row) for row in found.rows if row["trial_id"] in again})
    if continue_stopped:
        take_up(there, again)
    return todo


def notes(found: Found) -> list[str]:
    """What is told about files that are damaged or not ours: the first few, and how many more there are."""
    damaged = [f"damaged: {fault}; trial {fault.trial_id} is made again" for fault in found.faults]
    return [*first(damaged), *first([f"ignored: {name}: not named by a trial's id" for name in found.ignored])]


def drive(
    sweep: Sweep,
    todo: list[TrialSpec],
    shared: dict[str, Any],
    inputs: Known,
    me: str,
    place: Path,
    forwards: Mapping[str, float],
    listeners: Sequence[Listener] = (),
    own: bool = False,
) -> list[TrialSpec]:
    """Run trials on the cluster that this process is connected to; those left without a result come back.

    `shared` maps keys of inputs to references, `inputs` to hashes, `me` is this run's id, `place` is for what Tune
    writes, `forwards` are those expected of each trial of `todo`; `own` says that this process started the cluster.
    Whatever ends Tune, a full disk say, is told in a line.
    """
    there = results(sweep)
    check_resources(sweep, own)
    check_nodes(me, sweep, own_code((*todo, *sweep.ends), sweep.spec.output))
    forget(there, todo)
    plan = planned(sweep, forwards, me, inputs)
    plan.write(there)
    try:
        callbacks = [Limits(sweep, me), RecordDeaths(sweep), Unfinished()]
        listeners = [Gauges(sweep.spec.name), *listeners]
        with Progress(sweep, there, plan, listeners) as display, tune_fixes(), deciding(sweep) as decisions:
            judge = judge_of(sweep, plan, decisions)
            source = trials_for(sweep, todo, plan, decisions, judge, own)
            _tuner(sweep, source, shared, inputs, me, [*callbacks, display], place / "tune", judge).fit()
    except Exception as error:
        print(f"Ray Tune has ended: {one_line(error)}", file=sys.stderr)
    finally:
        with suppress(OSError):  # a full disk: the plan is for who looks on
            plan.write(there)
        there.remove(WORKERS)
        if not there.names(SNAPSHOTS):  # each that was needed while its trial ran is gone
            there.remove(SNAPSHOTS)
        there.clear()
    left = _left(known(sweep), plan)
    if not left and pays(there):
        print(f"{there}: {compact(there)}", file=sys.stderr)
    return left


def _left(sweep: Sweep, plan: Plan) -> list[TrialSpec]:
    """The trials that are still to be run. Where no more are wanted, the plan says why, for who looks on."""
    found = check(sweep)
    if why := why_over(sweep, found):
        with suppress(OSError):
            replace(plan, over=why).write(results(sweep))
    return left_of(sweep, found)


def clean(there: Storage, sweep: Sweep, done: set[str]) -> None:
    """Remove what a worker that was killed right after it wrote its trial's tables could not: it is needed no more."""
    hybrid = {trial.trial_id for trial in sweep.trials if trial.hybrid}
    mine = {trial.trial_id for trial in sweep.trials} & done
    for folder, over in ((LEDGERS, mine), (SNAPSHOTS, mine - hybrid)):
        for name in there.names(folder):
            if name.rpartition("/")[2] in over:
                there.remove(name)


def forget(there: Storage, todo: list[TrialSpec]) -> None:
    """Remove what earlier attempts of trials left, so that no table holds rows of a trial that is not there.

    Rows of trials that were interrupted stay to be read: they are the first that the next attempt will tell.
    """
    there.clear()
    for folder in (WORKERS, STOPS):
        there.remove(folder)
    drop(there, {trial.trial_id for trial in todo} - (begun(there) - written(there).keys()))
    for name in {certificate_of(trial.trial_id) for trial in todo} & set(there.names(CERTIFICATES)):
        there.remove(name)


def _tuner(
    sweep: Sweep,
    source: Listed,
    shared: dict[str, Any],
    inputs: Known,
    me: str,
    callbacks: list[Any],
    scratch: Path,
    judge: Judge | None,
) -> tune.Tuner:
    r = sweep.spec.resources
    place, name = where(sweep)
    output = sweep.spec.output.model_copy(update={"dir": place})
    fixed = {
        "output": output,
        "name": name,
        "run": me,
        "resources": r,
        "path": module_path(own_code(sweep.outline, output)),
    }
    scheduler = sweep.spec.search.scheduler
    judged = {"judged": judge is not None, "every": scheduler.every, "forked": scheduler.takes_over}
    worker = tune.with_parameters(Worker, shared=shared, inputs=inputs, **judged, **fixed)
    return tune.Tuner(
        tune.with_resources(worker, bundles(r)),
        tune_config=tune.TuneConfig(
            search_alg=source,
            scheduler=judge,
            num_samples=most(sweep),
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
