"""A sink that keeps a file of totals for each trial."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from zfscale.records import Eval, Outcome, Query, Step
from zfscale.results.storage import storage
from zfscale.sinks.about import About
from zfscale.spec import Block


class Totals:
    """How many steps and queries a trial took, in `<root>/<folder>/<trial_id>.json`."""

    class Options(Block):
        """Options that this sink alone has."""

        folder: str = Field(default="totals", pattern="^[a-z]+$", description="folder in the results")

    def __init__(self, about: About, options: Any) -> None:
        self.about, self.folder = about, options.folder
        self.totals = {"steps": 0, "queries": 0, "evals": 0}

    def step(self, record: Step) -> None:
        self.totals["steps"] += 1

    def query(self, record: Query) -> None:
        self.totals["queries"] += 1

    def eval(self, record: Eval) -> None:
        self.totals["evals"] += 1

    def close(self, outcome: Outcome) -> None:
        content = json.dumps({**self.totals, "status": outcome.status})
        storage(self.about.root).write(f"{self.folder}/{self.about.trial_id}.json", content.encode())
