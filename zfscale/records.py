"""What a trial says while it runs: the rows of the four tables, before any sink has seen them.

Tasks and stages count from 1, as in the papers: stage k is the state after learning task k. Stage 0 is the pretrained
model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from zfscale.metrics.catalogue import BY_NAME


@dataclass(frozen=True)
class Step:
    """One training step. `forwards` and `seconds` are totals since the trial began."""

    task: int
    step: int  # within the task, from 0
    loss: float
    lr: float
    forwards: int
    seconds: float


@dataclass(frozen=True)
class Query:
    """One query of a zeroth-order step: (seed, coefficient) is enough to rebuild its update."""

    task: int
    step: int
    query: int
    seed: int  # 64-bit, stored as a signed integer
    coefficient: float
    accepted: int  # 1: theta - step; -1: theta + step (conserve); 0: theta kept

    @property
    def signed_seed(self) -> int:
        """The signed 64-bit integer of the same bits, as it is stored."""
        return (self.seed + 2**63) % 2**64 - 2**63


@dataclass(frozen=True)
class Eval:
    """A metric after stage `stage` on task `task`; task 0 means all tasks seen so far."""

    stage: int
    task: int
    metric: str
    value: float


class Status(str, Enum):
    """How a trial ended; in tables, the value."""

    FINISHED = "finished"
    FAILED = "failed"  # by an error
    STOPPED = "stopped"  # in good order, after one of its stages: by a scheduler

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: the row of the `trials` table that is not its spec.

    Args:
        status: Whether it finished; a value of `Status` will do.
        measures: Name in `zfscale.metrics.catalogue` -> value; what is left out is null. Each is an attribute, too.
        node: Where the trial ended.
        bytes_sent: Losses, from rank 0 to the others, in the last attempt; None where DeepSpeed reduces gradients.
        attempts: How often it was started.
        error: The traceback of a failed trial.
        versions: JSON object: package -> version.
        stopped_at: The stage after which a scheduler stopped it; its measures are those up to there.
        micro_batch: With which it ran after memory had run out; None if with that of its spec.
        url: Where W&B shows it; None of a run that is offline.
        inputs: JSON object: what the trial has read -> SHA-256 of its content.
        weights: JSON array: SHA-256 of what is trained, as the training of each stage left it.

    Raises:
        ValueError: A measure is not in the catalogue, or the status is none.
    """

    status: Status
    measures: Mapping[str, float | int | None] = field(default_factory=dict)
    node: str | None = None
    bytes_sent: int | None = None
    attempts: int = 1
    error: str | None = None
    versions: str = ""
    stopped_at: int | None = None
    micro_batch: int | None = None
    url: str | None = None
    inputs: str | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Status(self.status))
        if unknown := set(self.measures) - set(BY_NAME):
            raise ValueError(f"a measure must be in zfscale.metrics.catalogue, got {', '.join(sorted(unknown))}")

    def __getattr__(self, name: str) -> float | int | None:
        """A measure by its name; None if the trial has none of it."""
        if name not in BY_NAME:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.measures.get(name)

    def row(self) -> dict[str, str | float | int | None]:
        """Column -> value, in the order of `trials`."""
        measures = {name: self.measures.get(name) for name in BY_NAME}
        return {"status": self.status.value, **measures, **{name: getattr(self, name) for name in ABOUT}}


# What a row of `trials` says of a trial beside its measures.
ABOUT: dict[str, type] = {
    "node": str,
    "bytes_sent": int,
    "attempts": int,
    "error": str,
    "versions": str,
    "stopped_at": int,
    "micro_batch": int,
    "url": str,
    "inputs": str,
    "weights": str,
}


class Sink(Protocol):
    """Where records go. `close` is called once, last, with the outcome."""

    def step(self, record: Step) -> None: ...

    def query(self, record: Query) -> None: ...

    def eval(self, record: Eval) -> None: ...

    def close(self, outcome: Outcome) -> None: ...
