"""A sink that keeps what it is given, and a trial that is run into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from zfscale.methods.base import Learner
from zfscale.records import Eval, Outcome, Query, Step
from zfscale.spec import TrialSpec
from zfscale.trial.inputs import Inputs
from zfscale.trial.run import run
from zfscale.zo.ledger import Entry, Past


@dataclass
class Recording:
    """A sink that keeps its records."""

    steps: list[Step] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)
    evals: list[Eval] = field(default_factory=list)
    outcome: Outcome | None = None

    def step(self, record: Step) -> None:
        """Keep a step."""
        self.steps.append(record)

    def query(self, record: Query) -> None:
        """Keep a query."""
        self.queries.append(record)

    def eval(self, record: Eval) -> None:
        """Keep a metric."""
        self.evals.append(record)

    def close(self, outcome: Outcome) -> None:
        """Keep the outcome."""
        self.outcome = outcome

    @property
    def told(self) -> list[Any]:
        """All that must come out the same again: everything but the clock, floats as text so that NaN equals NaN."""
        steps = [replace(step, loss=repr(step.loss), seconds=0.0) for step in self.steps]  # type: ignore[arg-type]
        queries = [replace(q, coefficient=repr(q.coefficient)) for q in self.queries]  # type: ignore[arg-type]
        return [*steps, *queries, *self.evals]


class Kept(Past):
    """A ledger in memory, which begins with the steps of an earlier attempt."""

    def __init__(self, past: list[Entry]) -> None:
        super().__init__(list(past))
        self.entries = list(past)

    def append(self, entry: Entry) -> None:
        """Keep a step."""
        self.entries.append(entry)


@dataclass
class Ran:
    """A trial that was run: what it said, its ledger, and the learner as it was at the end."""

    said: Recording
    ledger: list[Entry]
    learner: Learner[Any]

    @property
    def weights(self) -> dict[str, Any]:
        """Name -> tensor of everything in the network."""
        return {name: value.detach().clone() for name, value in self.learner.network.state_dict().items()}


def ran(spec: TrialSpec, inputs: Inputs, past: list[Entry] = ()) -> Ran:  # type: ignore[assignment]
    """Run a trial, after the steps of `past`."""
    said, ledger = Recording(), Kept(list(past))
    with learners() as made:
        said.close(run(spec, *inputs.of(spec), said, ledger=ledger))
    return Ran(said, ledger.entries, made[-1])


@contextmanager
def learners() -> Iterator[list[Learner[Any]]]:
    """The learners that are made inside, in order."""
    made: list[Learner[Any]] = []
    begin = Learner.__init__

    def init(self: Learner[Any], *given: Any, **named: Any) -> None:
        made.append(self)
        begin(self, *given, **named)

    with patch.object(Learner, "__init__", init):
        yield made
