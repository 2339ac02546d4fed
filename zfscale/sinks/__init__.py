"""Sinks: where the records of a trial go. Parquet is the truth, W&B a live view of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from zfscale.records import Eval, Outcome, Query, Sink, Step
from zfscale.results.storage import Place
from zfscale.sinks.parquet import ParquetSink, Scalar
from zfscale.sinks.wandb import WandbSink

SINKS: dict[str, Callable[..., Sink]] = {"parquet": ParquetSink, "wandb": WandbSink}


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

    def close(self, outcome: Outcome) -> None:
        """Closes every sink, also when an earlier one raises; the error then goes on to the caller."""
        with ExitStack() as stack:
            for sink in reversed(self.sinks):
                stack.callback(sink.close, outcome)


def make_sinks(
    root: Place,
    sweep: str,
    trial_id: str,
    spec_json: str,
    leaves: Mapping[str, Scalar],
    *,
    types: Mapping[str, type] | None = None,
    wandb_mode: str = "offline",
    project: str = "zfscale",
) -> Fanout:
    """The sinks of one trial: W&B unless its mode is "disabled", then Parquet.

    Parquet comes last because its `trials` row is the commit: a trial killed while W&B closes is not finished
    and runs again.

    Args:
        root: `<output.dir>/<sweep name>`, a path or URL; made when absent.
        sweep: The sweep's name, the group of its W&B runs.
        trial_id: Hash of the resolved spec; names the files and the run.
        spec_json: The resolved trial spec, a JSON object.
        leaves: The spec flattened to dotted paths; lists as JSON text.
        types: Leaf -> Python type, needed for a leaf that is None in some trials (else its column is text).
        wandb_mode: "online", "offline" or "disabled".
        project: The W&B project.
    """
    arguments: dict[str, tuple[object, ...]] = {}
    if wandb_mode != "disabled":
        arguments["wandb"] = (root, sweep, trial_id, json.loads(spec_json), wandb_mode, project)
    arguments["parquet"] = (root, trial_id, spec_json, leaves, types)
    return Fanout([SINKS[name](*given) for name, given in arguments.items()])
