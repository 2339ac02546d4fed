"""A sink that keeps what a replay says."""

from __future__ import annotations

from zfscale.records import Eval, Outcome, Query, Step


class Witness:
    """Keeps the records of one trial."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.queries: list[Query] = []
        self.evals: list[Eval] = []

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
        """A replay has no outcome of its own."""
