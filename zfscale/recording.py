"""A sink that keeps what it is given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from zfscale.records import Eval, Outcome, Query, Step


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
