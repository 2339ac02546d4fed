"""Walk a trial once through its past, and measure it at every so many steps and at the ends of its stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

import torch

from zfscale.measure.catalogue import RECORDED, Measure, Row, measures
from zfscale.measure.point import Point
from zfscale.measure.tested import Tested, tested
from zfscale.methods import catalogue as methods
from zfscale.methods.base import Learner
from zfscale.records import Eval, Outcome, Query, Step
from zfscale.results.layout import STEPS
from zfscale.results.measures import Measured
from zfscale.results.plan import label
from zfscale.results.storage import Place
from zfscale.results.tables import rows
from zfscale.spec import TrialSpec
from zfscale.trial.again import again, one_process, threads_of
from zfscale.trial.fingerprints import unchanged
from zfscale.trial.inputs import Inputs
from zfscale.trial.replay import finished

ACCURACY = "accuracy"


class Walked(NamedTuple):
    """What was measured, what the trial is called, and the names of its tasks, where they have any."""

    rows: list[Measured]
    title: str
    names: dict[int, str]


def walked(results: Place, trial_id: str, every: int, what: Collection[str], data: str | None) -> Walked:
    """Measure a trial's past; see `zfscale.measure.measure.measure`."""
    row = finished(results, trial_id)
    spec = one_process(row)
    wanted = measures(what, spec.stream.protocol)
    inputs = Inputs([spec], objectives=False)
    unchanged(row, spec, inputs, tested=data is None and spec.stream.validation is None)
    looked_at = tested(spec, inputs, data)
    watch = Watch(wanted, every, _ends(results, trial_id), looked_at, data, cache(lambda: _began(spec, inputs)))
    with threads_of(row):
        for report, learner in again(results, row, watch, look=watch.look, inputs=inputs):
            if data is not None and ACCURACY in wanted:
                watch.recorded(ACCURACY, report.stage, looked_at.ended(learner, report.stage))
    names = {task.index: name for task in inputs.stream(spec) if (name := getattr(task, "name", ""))}
    return Walked(watch.rows, f"{label(spec)}: trial {trial_id}", names)


@dataclass
class Watch:
    """Looks at a learner, and is the sink that the trial tells its evaluations."""

    measures: Mapping[str, Measure]
    every: int
    ends: Collection[int]  # numbers of steps after which a stage ends
    tested: Tested
    data: str | None
    began: Callable[[], Mapping[str, torch.Tensor]]
    rows: list[Measured] = field(default_factory=list)
    steps: int = 0

    def look(self, learner: Learner[Any], task: Any, steps: int) -> None:
        """Measure, if it is time."""
        self.steps = steps
        if steps % self.every and steps not in self.ends:
            return
        with learner.undisturbed(), torch.no_grad():
            point = Point(learner, task, steps, self.tested.seen(task.index), self.began)
            for kind, function in self.measures.items():
                self._add(kind, task.index, function(point))

    def recorded(self, kind: str, stage: int, found: Iterable[Row]) -> None:
        """What the classifier of a stage that has ended gives, in place of what was measured at its last step."""
        new = list(found)
        places = {(self.steps, stage, task, metric, kind) for task, metric, _ in new}
        self.rows = [row for row in self.rows if (*row[:4], row.kind) not in places]
        self._add(kind, stage, new)

    def eval(self, record: Eval) -> None:
        """What the trial itself measures after a stage."""
        if self.data is None:
            for kind in self.measures:
                if record.metric in RECORDED.get(kind, ()):
                    self.recorded(kind, record.stage, [(record.task, record.metric, record.value)])

    def step(self, record: Step) -> None:
        """Steps are in the trial's tables."""

    def query(self, record: Query) -> None:
        """As steps."""

    def close(self, outcome: Outcome) -> None:
        """The trial ended long ago."""

    def _add(self, kind: str, stage: int, found: Iterable[Row]) -> None:
        self.rows += [Measured(self.steps, stage, *row, kind, self.data) for row in found]


def _ends(results: Place, trial_id: str) -> frozenset[int]:
    """How many steps the trial had taken at the end of each task that it was trained on."""
    tasks = Counter(rows(results, STEPS, ["task"], trials=[trial_id])["task"].to_pylist())
    return frozenset(accumulate(tasks[task] for task in sorted(tasks)))


def _began(spec: TrialSpec, inputs: Inputs) -> dict[str, torch.Tensor]:
    """The weights that the method starts from, by name."""
    learner = methods.method(spec.method.name).load()(spec, inputs.of(spec)[0])
    return {name: parameter.detach().cpu() for name, parameter in learner.network.named_parameters()}
