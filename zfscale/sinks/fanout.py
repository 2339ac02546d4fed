"""The sinks of a trial as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from zfscale.records import Eval, Outcome, Query, Sink, Step
from zfscale.results.redact import redact
from zfscale.sinks.about import About
from zfscale.sinks.catalogue import chosen
from zfscale.sinks.guard import Commit, View

if TYPE_CHECKING:
    from zfscale.spec import OutputSpec


class Fanout:
    """Forwards every record to several sinks, in their order.

    >>> Fanout([]).step(Step(task=1, step=0, loss=0.5, lr=0.1, forwards=2, seconds=0.01))
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = tuple(sinks)

    def step(self, record: Step) -> None:
        """One training step."""
        for sink in self.sinks:
            sink.step(record)

    def query(self, record: Query) -> None:
        """One query of a zeroth-order step."""
        for sink in self.sinks:
            sink.query(record)

    def eval(self, record: Eval) -> None:
        """One metric after a stage."""
        for sink in self.sinks:
            sink.eval(record)

    def show(self) -> None:
        """Let readers see what the sinks that commit the trial have up to now; the others show it as they like."""
        for sink in self.sinks:
            if isinstance(sink, Commit):
                sink.show()

    def close(self, outcome: Outcome) -> None:
        """Close the sinks, but for those after one that raises: none of them shall commit the trial.

        They are told of an error without the secrets in it, and of the URL at which one before them shows the trial.
        """
        if outcome.error is not None:
            outcome = replace(outcome, error=redact(outcome.error))
        for sink in self.sinks:
            url = getattr(sink, "url", None)
            sink.close(outcome)
            outcome = replace(outcome, url=outcome.url or url)

    def give_up(self, outcome: Outcome) -> None:
        """Close the views alone: the trial begins again, and nothing of this attempt is to be committed."""
        for sink in self.sinks:
            if not isinstance(sink, Commit):
                sink.close(outcome)


def make_sinks(about: About, output: OutputSpec, committing: bool = False) -> Fanout:
    """The sinks of one trial, as the `output` block of the sweep file asks.

    Parquet comes last because its `trials` row is the commit: a trial killed while another sink closes is not finished
    and runs again.

    Args:
        about: The trial.
        output: The block.
        committing: Whether only sinks that commit the trial are wanted: for the word of another thread or process,
            while the trial's own still has views open.
    """
    asked = [one for one in chosen(output) if one.facts.commits or not committing]
    return Fanout([Commit(one, about) if one.facts.commits else View(one, about) for one in asked])
