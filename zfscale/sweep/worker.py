"""A warm worker: one Ray actor that runs trial after trial, with torch and DeepSpeed imported once."""

from __future__ import annotations

import gc
import logging
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import ray
from ray import tune

from zfscale.errors import StorageError, ZfscaleError
from zfscale.garbage import Settled, uncollected
from zfscale.metrics.catalogue import FORWARDS, SECONDS
from zfscale.models.imported import import_library
from zfscale.records import Outcome, Status
from zfscale.results.attempts import HALVED, START, attempts_of, halve, open_ledger, start_attempt, was_halved
from zfscale.results.check import ended, look
from zfscale.results.halving import CAUSE, halved, in_parts, out_of_memory
from zfscale.results.inputs import Known, as_json
from zfscale.results.layout import stop_of
from zfscale.results.plan import label
from zfscale.results.storage import Place, storage
from zfscale.results.workers import Speaker
from zfscale.sinks.about import About
from zfscale.spec import METRICS, TrialSpec
from zfscale.sweep.node import ModulePath, extend_path, node_name, unseen
from zfscale.sweep.team import RankLost, Team
from zfscale.sweep.unfinished import UNFINISHED
from zfscale.trial.forking import Start, inherits_size, start_key, start_of
from zfscale.trial.inputs import data_key, keys_of, model_key

if TYPE_CHECKING:
    from zfscale.spec import OutputSpec, ResourcesSpec
    from zfscale.training.snapshots import Snapshots
    from zfscale.trial.report import Report
    from zfscale.zo.ledger import Entry, Ledger

REPORT_EVERY = 1.0  # seconds at least between two reports that nobody decides upon


class Worker(tune.Trainable):
    """Tune's class API: `setup` once an actor, then for each trial `reset_config`, and `step` once a report."""

    def setup(  # type: ignore[override]
        self,
        config: dict[str, Any],
        shared: dict[str, Any],
        inputs: Known,
        output: OutputSpec,
        name: str,
        run: str,
        resources: ResourcesSpec,
        path: ModulePath,
        judged: bool = False,
        every: int = 0,
        forked: bool = False,
    ) -> None:
        """Import what is slow; `shared` maps keys of inputs to references in the object store, `inputs` to hashes.

        `path` is where the driver finds modules. `run` is the id of the run, by which a node that has joined since
        knows the results. `judged` says that the driver decides on every report, so that none may be left out, and
        `every` after how many steps there is one. `forked` says that another trial may go on from where one reports.
        """
        extend_path(path.libraries)
        if problem := unseen(output.dir, name, run):
            raise ZfscaleError(problem)
        with uncollected():  # what is imported stays
            import torch

            import zfscale.trial.run  # noqa: F401

        # Reductions depend on the number of threads: it belongs to the file, not to the machine.
        torch.set_num_threads(resources.cpus)
        logging.getLogger("transformers").setLevel(logging.ERROR)
        extend_path(path.own)
        self.settled = Settled()
        self.shared, self.output, self.name, self.node = shared, output, name, node_name()
        self.inputs = inputs
        self.results = storage(output.dir, name)
        self.speaker = Speaker(self.results, run, self.node)
        self.judged, self.every, self.forked = judged, every, forked
        self.checkpoint_minutes = resources.checkpoint_minutes
        self.walk: Generator[dict[str, Any], None, dict[str, Any]] | None = None
        self.fetched: dict[str, Any] = {}
        self.features: dict[Any, Any] = {}
        self.team = Team(resources, shared, path) if resources.workers > 1 else None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Every trial starts from its spec alone, so nothing is to be reset."""
        self.walk = None
        return True

    def stop_here(self) -> None:
        """The trial shall end, in good order, after the stage that it has reported last."""
        self.stopping = True

    def step(self) -> dict[str, Any]:
        """Run the trial to its next report or its end. Its failure is recorded, not raised; the death of a rank is.

        Where our own storage refuses, which is not the trial's failure, the trial is left to the next run.
        """
        walk, self.walk = self.walk or self._run(), None
        try:
            report = next(walk)
        except StopIteration as end:
            return dict(end.value)
        except StorageError as error:
            if self.team:
                raise  # its ranks have ended with it: Tune shall make new ones, which take the trial up again
            return {"done": True, "status": UNFINISHED, "why": str(error)}
        self.walk = walk
        return report

    def _run(self, halve: bool = False) -> Generator[dict[str, Any], None, dict[str, Any]]:
        """One whole trial: its reports, and how it ended; `halve` its micro-batch, as if memory had run out before."""
        from zfscale.sinks.fanout import Fanout, make_sinks
        from zfscale.training.snapshots import Snapshots
        from zfscale.trial import run as trial

        self.settled.again()
        spec = TrialSpec.from_json(self.config["spec"])
        root = self.results
        if ended(root, spec.trial_id):  # by a worker that died right after; and see below
            (row,) = look(root, list(values({})), [spec.trial_id], all_tables=False).rows
            return {"done": True, "status": row["status"], **values(row)}
        micro = halved(spec) if halve or was_halved(root, spec.trial_id) else None
        attempt = start_attempt(root, spec.trial_id, HALVED if micro else START)
        sink = Fanout([self.speaker, *make_sinks(About.of(root, self.name, spec), self.output).sinks])
        ledger, snapshots = open_ledger(root, spec.trial_id), Snapshots(root, spec.trial_id, self.checkpoint_minutes)
        self.stage, self.stopping, again, taken = 0, False, False, dict[str, float | int | None]()
        try:
            micro = self._share(spec, ledger, snapshots, micro)
            parts = in_parts(spec, micro)
            team = self._team(spec, parts, ledger.past) if self.team else nullcontext()
            base, data = self._get(model_key(spec)), self._get(data_key(spec))
            told = self.speaker.of(spec.trial_id, label(spec), attempt, self.config["spec"], sink.show)
            with team, told as taken:
                import_library(spec)
                cache = {} if micro else self.features  # which were computed in whole batches
                walk = trial.walk(parts, base, data, sink, attempt, ledger, snapshots, cache, self.every)
                outcome = yield from self._reports(walk, spec, ledger)
        except (RankLost, StorageError):
            raise
        except Exception as problem:
            error, versions, full = traceback.format_exc(), trial.versions(), out_of_memory(problem)
            if full and micro:
                error = f"{CAUSE}: also with half the micro-batch, {micro}\n\n{error}"
            outcome = Outcome(Status.FAILED, taken, attempts=attempt, error=error, versions=versions)
            again = full and micro is None and self.team is None and halved(spec) is not None
        if again:  # outside, where the error holds no tensors any more
            sink.give_up(outcome)
            ledger.remove()
            snapshots.remove()
            free_memory()
            return (yield from self._run(halve=True))
        # Outside: a disk that refuses the rows does not make the trial a failed one.
        read = as_json(keys_of(spec), self.inputs)
        sink.close(replace(outcome, node=self.node, micro_batch=micro, inputs=read))
        ledger.remove()
        if not spec.hybrid or outcome.status is Status.FAILED:  # a hybrid's are needed for replay
            snapshots.remove()
        if self.team and outcome.status is Status.FAILED:
            # The ranks may be out of step: Tune shall make new ones. It will start this trial again, too, in vain.
            raise RankLost(f"trial {spec.trial_id} failed, and with it this worker's process group")
        return {"done": True, "stage": self.stage, **summary(outcome)}

    def _reports(
        self, walk: Generator[Report, bool | None, Outcome], spec: TrialSpec, ledger: Ledger
    ) -> Generator[dict[str, Any], None, Outcome]:
        """Hand on what a trial reports while there is something to decide, and the decision back, or a user's wish."""
        told, stop = time.monotonic(), None
        judged = spec.fork.step if self.forked and spec.fork is not None else -1  # steps, in the parent
        while True:
            try:
                report = walk.send(stop)
            except StopIteration as end:
                return cast(Outcome, end.value)
            self.stage, stop = report.stage, None
            if report.last or report.steps <= judged:
                continue
            if self.judged or time.monotonic() - told > REPORT_EVERY:
                if self.forked:
                    ledger.flush()
                far = {"stage": report.stage, "taken": report.steps, "task": report.task}
                yield {**far, **inside(report), **values(report.measures)}
                told, stop = time.monotonic(), self.stopping
            stop = stop or (not report.step and self._asked(spec.trial_id))

    def _asked(self, trial_id: str) -> bool:
        """Whether `zfscale stop` was given this trial."""
        try:
            return self.results.exists(stop_of(trial_id))
        except StorageError:  # it is asked again after the next stage
            return False

    def _team(self, spec: TrialSpec, parts: TrialSpec, past: list[Entry]) -> AbstractContextManager[None]:
        """The other ranks run the trial, in such parts; it is recorded under its own spec."""
        assert self.team is not None

        def record(error: str) -> None:
            """In another thread; the views are this one's."""
            self.speaker.rest()  # else rows that are shown now would not be those that the trial's row knows
            record_failure(self.results, self.name, spec, self.output, error, committing=True)

        return self.team.running(parts.to_json(), past, record, keep=parts is spec)

    def _share(self, spec: TrialSpec, ledger: Ledger, snapshots: Snapshots, micro: int | None) -> int | None:
        """Give a fork what it shares; with which micro-batch the trial goes on, a fork as its parent."""
        start = self._start(spec)
        if start is None:
            return micro
        start.give(ledger, snapshots)
        if micro is None and start.halved and inherits_size(spec):
            halve(self.results, spec.trial_id)
            return halved(spec)
        return micro

    def _start(self, spec: TrialSpec) -> Start | None:
        """How a fork begins: as the driver has read it, or, where its parent may still run, as that is now."""
        key = start_key(spec)
        if not key:
            return None
        return cast(Start, self._get(key)) if key in self.shared else start_of(spec, self.results)

    def _get(self, key: str) -> Any:
        if key not in self.fetched:
            self.fetched[key] = ray.get(self.shared[key])
        return self.fetched[key]


def free_memory() -> None:
    """Give back what a failed trial has left: cycles of objects, and what torch keeps of a GPU."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def summary(outcome: Outcome) -> dict[str, Any]:
    """What the driver's display needs of an outcome."""
    return {"status": outcome.status.value, **values(outcome.measures)}


def inside(report: Report) -> dict[str, float]:
    """What a report has that comes inside a stage."""
    return {"step": report.step, "loss": report.measures["loss"]} if report.step else {}


def values(measures: Mapping[str, Any]) -> dict[str, Any]:
    """What Ray Tune is told of a trial's measures."""
    return {name: measures.get(name) for name in (*METRICS, FORWARDS, SECONDS)}


def record_failure(
    root: Place, name: str, spec: TrialSpec, output: OutputSpec, error: str, committing: bool = False
) -> None:
    """Write the row of a trial whose own worker cannot; of all sinks, or only of those that commit it."""
    from zfscale.sinks.fanout import make_sinks

    sink = make_sinks(About.of(root, name, spec), output, committing)
    sink.close(Outcome(Status.FAILED, attempts=attempts_of(root, spec.trial_id), error=error))
