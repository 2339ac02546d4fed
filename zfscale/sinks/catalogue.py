"""The sinks by name: where each is, what turns it on, and whether a trial depends on it.

Nothing here needs torch or pyarrow: a sink is a path, "package.module:Class", that is imported when a trial begins. Its
class is called with a `zfscale.sinks.about.About` and its options, an instance of its `Options` (None if it has none).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from zfscale import registry


@dataclass(frozen=True)
class Facts:
    """The facts of a sink.

    Args:
        path: Its class.
        commits: Whether a trial counts only once this sink has closed. Its error leaves the trial to the next run; of
            any other sink, the error is warned about once and ends that sink alone.
        always: Whether every trial has it.
        block: The block of `output` with its options and a `mode`, which may be "disabled"; "" if it is listed in
            `output.sinks`.
        label: What messages call it, if not by its name.
        shows: Whether it keeps records back, and has a method `show`, which lets readers see them and which another
            thread calls every few seconds; none of a user's own.
        package: The module that it needs and that not every installation has; an extra of ours has the sink's name.
    """

    path: str
    commits: bool = False
    always: bool = False
    block: str = ""
    label: str = ""
    shows: bool = False
    package: str = ""


SINKS: dict[str, Facts] = {
    "wandb": Facts("zfscale.sinks.wandb:WandbSink", block="wandb", label="W&B"),
    "jsonl": Facts("zfscale.sinks.jsonl:JsonlSink"),
    "tensorboard": Facts("zfscale.sinks.tensorboard:TensorboardSink", package="tensorboardX"),
    "parquet": Facts("zfscale.sinks.parquet:ParquetSink", commits=True, always=True, shows=True),
}
LISTED = tuple(name for name, facts in SINKS.items() if not facts.always and not facts.block)


@dataclass(frozen=True)
class Chosen:
    """A sink that a sweep file asks for, with its options: a block that is valid, or keys that are not read yet."""

    name: str
    facts: Facts
    options: Any = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.facts.label or self.name

    def make(self, about: Any) -> Any:
        """The sink of a trial."""
        made_by = registry.load_user(self.facts.path)
        options = self.options
        if isinstance(options, Mapping):
            block = getattr(made_by, "Options", None)
            options = block and block.model_validate_json(json.dumps(dict(options)))
        return made_by(about, options)


def facts_of(name: str) -> Facts:
    """The facts of a sink by name, or of a user's own at "package.module:Class": its attribute `commits`."""
    if name in SINKS:
        return SINKS[name]
    return Facts(name, commits=bool(getattr(registry.load_user(name), "commits", False)))


def chosen(output: Any) -> list[Chosen]:
    """The sinks of an `output` block in the order they are told: those that commit last, Parquet after all others."""
    return sorted(_chosen(output), key=lambda one: (one.facts.commits, one.facts.always))


def _chosen(output: Any) -> Iterator[Chosen]:
    for name, facts in SINKS.items():
        if facts.always:
            yield Chosen(name, facts)
        elif facts.block and getattr(output, facts.block).mode != "disabled":
            yield Chosen(name, facts, getattr(output, facts.block))
    for listed in output.sinks:
        yield Chosen(listed.name, facts_of(listed.name), listed.options)
