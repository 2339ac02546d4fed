"""A trial that is run into a recording, with its ledger and its learner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from zfscale.methods.base import Learner
from zfscale.recording import Recording
from zfscale.spec import TrialSpec
from zfscale.trial.inputs import Inputs
from zfscale.trial.run import run
from zfscale.zo.ledger import Entry, Past


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
