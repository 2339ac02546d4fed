"""What a trial says while it runs: the rows of the four tables, before any sink has seen them.

Tasks and stages count from 1, as in the papers: stage k is the state after learning task k. Stage 0 is the pretrained
model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


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


@dataclass(frozen=True)
class Eval:
    """A metric after stage `stage` on task `task`; task 0 means all tasks seen so far."""

    stage: int
    task: int
    metric: str
    value: float


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: the row of the `trials` table that is not its spec.

    Accuracies are of class-incremental trials; losses (nats a token, squared error a pixel) and tokens of
    domain-incremental ones, whose `last_accuracy` is that of the nearest prototype, the mean over domains of images.
    Forgetting and transfer (bwt, fwt) are in the unit of the trial's kind; positive transfer is good, positive
    forgetting bad.
    """

    status: str  # "finished" | "failed"
    avg_accuracy: float | None = None
    last_accuracy: float | None = None
    forgetting: float | None = None
    bwt: float | None = None
    fwt: float | None = None
    final_loss: float | None = None
    perplexity: float | None = None
    bits_per_byte: float | None = None
    learning_gain: float | None = None
    upstream_loss: float | None = None
    tokens: int | None = None
    seconds: float | None = None
    forwards: int | None = None
    peak_memory_bytes: int | None = None
    node: str | None = None  # where it ended
    # Losses, from rank 0 to the others, in the last attempt; unknown where DeepSpeed reduces gradients.
    bytes_sent: int | None = None
    attempts: int = 1
    error: str | None = None
    versions: str = ""  # JSON object: package -> version


class Sink(Protocol):
    """Where records go. `close` is called once, last, with the outcome."""

    def step(self, record: Step) -> None: ...

    def query(self, record: Query) -> None: ...

    def eval(self, record: Eval) -> None: ...

    def close(self, outcome: Outcome) -> None: ...
