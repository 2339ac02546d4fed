"""A finished trial once more, from its own ledger: the same walk, with no training forward.

The trial's own `stages` take every step from its tables, bit for bit, and evaluate after each stage as the trial did.
So what is measured comes out of the code that measured it then, and whoever looks on sees the learner at any step.

NOTE: of a hybrid's first-order phases only the ends are kept, so nobody looks inside one. The forward transfer's
references (`trial/alone.py`) are not the trial's steps: they are in no ledger, and the walk ends before them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch

from zfscale.errors import ZfscaleError
from zfscale.methods.base import FeatureCache, Learner
from zfscale.records import Sink, Status
from zfscale.results.check import contents
from zfscale.results.halving import in_parts
from zfscale.results.reading import DamagedFile
from zfscale.results.resuming import steps
from zfscale.results.storage import Place, storage
from zfscale.results.tables import versions
from zfscale.spec import EngineSpec, TrialSpec
from zfscale.training.fit import Look
from zfscale.training.journal import Journal
from zfscale.training.snapshots import Snapshots
from zfscale.trial.inputs import Inputs
from zfscale.trial.report import Report
from zfscale.trial.run import stages
from zfscale.zo.ledger import Entry, Past
from zfscale.zo.step import StepResult

Watch = Callable[[Learner[Any], Any, int], None]  # learner, the stage that it learns, steps that the trial has taken
Taken = tuple[tuple[int, int], Entry]  # (task, step within it), and what the ledger had of it


class Measured(NamedTuple):
    """A step of the ledger, and what the same step gives when it is measured again."""

    task: int
    step: int
    then: Entry
    now: StepResult


class Lacking(ZfscaleError):
    """The ledger has not the steps that the trial takes."""


class Again(Journal):
    """The journal of a trial that has ended: each step is one of its past, and none is taken."""

    complete = True

    def __init__(
        self,
        sink: Sink,
        past: list[Taken],
        snapshots: Snapshots,
        watch: Watch | None = None,
        samples: Collection[int] = (),
        stopped: bool = False,
    ) -> None:
        super().__init__(sink, Past([entry for _, entry in past]), snapshots)
        self._places, self._watch = deque(place for place, _ in past), watch
        self._stopped = stopped  # whether the trial was stopped before its end
        self._samples = samples  # numbers of steps of the trial, from 0, that are measured again before they are taken
        self.measures: list[Measured] = []
        self.learner: Learner[Any] | None = None  # the one that learns, or did last

    @property
    def left(self) -> int:
        """Steps of the ledger that are not taken yet."""
        return len(self._past)

    def take(self, task: int, step: int, lr: float) -> Entry:
        """The step as the trial took it. Errors: Lacking if it is in no table."""
        if not self._places or self._places.popleft() != (task, step):
            raise Lacking(f"task {task}, step {step}: no table has this step")
        entry = super().take(task, step, lr)
        assert entry is not None
        return entry

    def finished(self, task: int, count: int) -> bool:
        """A first-order phase is one of the past, too. Errors: Lacking if tables end inside it."""
        if self.left < count:
            raise Lacking(f"task {task}, step {self.left}: no table has this step")
        return True

    @property
    def sampled(self) -> bool:
        """Whether it is one of the `samples`."""
        return self.steps in self._samples and bool(self._past)

    def measured(self, task: int, step: int, result: StepResult) -> None:
        """See `Journal.measured`."""
        self.measures.append(Measured(task, step, self._past[0], result))

    @property
    def due(self) -> bool:
        """Whether the trial may have been stopped after this step, inside a stage."""
        return self._stopped and not self._past

    @property
    def recent(self) -> float:
        """Nobody asks."""
        return math.nan

    def look(self, learner: Any, task: Any) -> Look | None:
        """See `Journal.look`."""
        self.learner = learner
        return self._watch and partial(self._show, learner, task)

    def _show(self, learner: Learner[Any], task: Any, _: int) -> None:
        assert self._watch is not None
        self._watch(learner, task, self.steps)


def again(
    results: Place,
    row: dict[str, Any],
    sink: Sink,
    look: Watch | None = None,
    inputs: Inputs | None = None,
    cache: FeatureCache | None = None,
) -> Iterator[tuple[Report, Learner[Any]]]:
    """Walk a trial that has ended from stage to stage, as it went: after each, its report and the learner.

    Args:
        results: Where its tables are, and a hybrid's snapshots.
        row: Of `trials`, as `results.check.look` gives it, with the columns micro_batch and stopped_at. It may be of a
            trial that was stopped, which is walked as far as it came.
        sink: Is told steps, queries and evaluations as the trial's own sinks were.
        look: Called after every step that the ledger has, with the network in the mode of training; it has to leave
            the learner as it was.
        inputs: Model and data, if they are read already.
        cache: What the pretrained model alone decides, kept from trial to trial.

    Raises:
        ZfscaleError: The trial is first-order, a table is not what it wrote, or has not the steps that it takes.
    """
    stopped = row["status"] == Status.STOPPED
    journal = Again(sink, taken(results, row), Snapshots(results, row["trial_id"]), look, stopped=stopped)
    for report in walk(row, journal, inputs, cache):
        assert journal.learner is not None
        yield report, journal.learner


def walk(
    row: dict[str, Any], journal: Again, inputs: Inputs | None = None, cache: FeatureCache | None = None
) -> Iterator[Report]:
    """The reports of a trial as it takes the steps of a journal again. Arguments and errors as of `again`."""
    spec = one_process(row)
    if spec.trains and spec.optimizing.first_order:
        raise ZfscaleError(f"trial {row['trial_id']}: {spec.optimizer.name} is first-order and has no ledger to replay")
    inputs, stopped = inputs or Inputs([spec]), row["status"] == Status.STOPPED
    try:
        for report in stages(spec, *inputs.of(spec), journal, {} if cache is None else cache):
            if report.step:  # no step is left
                if report.stage == row["stopped_at"]:
                    break
                continue
            yield report
            if report.last or (stopped and not journal.left and report.stage == row["stopped_at"]):
                break
    except Lacking:
        if not stopped or journal.left:
            raise  # or else it was stopped inside a stage
    if journal.left:
        raise Lacking(f"{journal.left} steps more are in the tables than the trial takes")


def one_process(row: dict[str, Any]) -> TrialSpec:
    """The spec of a trial as it is computed in one process, whatever it ran on, in the parts that it was."""
    return in_parts(TrialSpec.from_json(row["spec"]), row["micro_batch"]).model_copy(update={"engine": EngineSpec()})


def taken(results: Place, row: dict[str, Any]) -> list[Taken]:
    """The ledger of a trial's running, made of its tables. Errors: ZfscaleError with the name of a damaged file."""
    there = storage(results)
    try:
        return [((s["task"], s["step"]), entry) for s, entry in steps(contents(there, row))]
    except DamagedFile as error:
        raise ZfscaleError(f"{there}/{error}; run the sweep again to make this trial again") from error


@contextmanager
def threads_of(row: Mapping[str, Any]) -> Iterator[None]:
    """Compute with as many threads as the trial did: the rounding of a matrix product depends on them."""
    before, then = torch.get_num_threads(), versions(row["versions"]).get("threads")
    torch.set_num_threads(int(then) if then and str(then).isdigit() else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
