"""A domain-incremental trial: learn the domains in order, measure the held-out loss on all of them before and after.

L[i][j] is the loss on domain j after stage i, the mean over its held-out examples; row 0 is the pretrained model.
Where examples have classes, each of these comes with the accuracy of the nearest class mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zfscale.methods import catalogue as methods
from zfscale.metrics import loss_matrix as metrics
from zfscale.records import Eval
from zfscale.streams import catalogue as streams
from zfscale.streams.domain_incremental import DomainIncremental
from zfscale.training.journal import Journal
from zfscale.trial.report import Report, learned

if TYPE_CHECKING:
    from zfscale.methods.domains import DomainLearner
    from zfscale.records import Sink
    from zfscale.spec import TrialSpec


@dataclass(frozen=True)
class Row:
    """What was measured at a stage: a domain an entry, in order of arrival.

    `losses` are of single examples; the upstream domain's, if there is one, come last.
    """

    losses: list[np.ndarray]
    accuracy: list[float | None]

    @property
    def mean_accuracy(self) -> float | None:
        """Over the domains that have classes."""
        known = [value for value in self.accuracy if value is not None]
        return float(np.mean(known)) if known else None


def stages(spec: TrialSpec, base: Any, data: Any, journal: Journal, cache: dict[Any, Any]) -> Iterator[Report]:
    """Learn the domains in order; after each, what the trial has measured so far."""
    stream = streams.stream(spec.stream.kind).load().of(spec.stream, data)
    method: DomainLearner = methods.method(spec.method.name).load()(spec, base, cache)
    rows, tokens = [_base_row(method, stream)], 0
    tell(journal.sink, 0, stream, rows)
    is_text = stream[0].bytes_per_token is not None
    for stage, task in enumerate(method.stages(stream), start=1):
        yield from learned(method.learning(task, journal), journal, stage - 1)
        trained = method.trains(spec, task.index)
        tokens += trained * spec.train.epochs * task.train_x.size
        rows.append(_row(method, stream) if trained else rows[-1])
        tell(journal.sink, stage, stream, rows)
        found = summary(stream, rows, method.one_by_one) | ({"tokens": tokens} if is_text else {})
        yield Report(stage, found, last=stage == method.stage_count(stream))


def tell(sink: Sink, stage: int, stream: DomainIncremental, rows: list[Row]) -> None:
    """The metrics of the last stage: of each domain, and as task 0 the mean over domains and the upstream loss."""
    row, base = rows[-1], rows[0]
    means = [float(losses.mean()) for losses in row.losses]
    for j, task in enumerate(stream):
        found = {"loss": means[j]}
        if task.bytes_per_token is not None:
            found["perplexity"] = metrics.perplexity(means[j])
            found["bits_per_byte"] = metrics.bits_per_byte(means[j], task.bytes_per_token)
        if (accuracy := row.accuracy[j]) is not None:
            found["accuracy"] = accuracy
        if stage:
            found["change_stderr"] = stderr(row.losses[j] - base.losses[j])
        for metric, value in found.items():
            sink.eval(Eval(stage, task.index, metric, value))
    sink.eval(Eval(stage, 0, "stage_loss", float(np.mean(means[: len(stream)]))))
    if row.mean_accuracy is not None:
        sink.eval(Eval(stage, 0, "mean_accuracy", row.mean_accuracy))
    if stream.upstream is not None:
        sink.eval(Eval(stage, 0, "upstream_loss", means[-1]))


def summary(stream: DomainIncremental, rows: list[Row], one_by_one: bool) -> dict[str, Any]:
    """The trial's row. Forgetting and transfer are defined only where domains are learned one by one."""
    loss = [[float(losses.mean()) for losses in row.losses[: len(stream)]] for row in rows]
    final = metrics.final_loss(loss)
    found: dict[str, Any] = {"final_loss": final, "learning_gain": metrics.learning_gain(loss, one_by_one)}
    if one_by_one:
        found["forgetting"] = metrics.forgetting(loss)
        found |= {"bwt": metrics.backward_transfer(loss), "fwt": metrics.forward_transfer(loss)}
    sizes = [task.bytes_per_token for task in stream]
    if None not in sizes:
        found["perplexity"] = metrics.perplexity(final)
        rates = [metrics.bits_per_byte(x, n) for x, n in zip(loss[-1], sizes, strict=True) if n is not None]
        found["bits_per_byte"] = float(np.mean(rates))
    if stream.upstream is not None:
        found["upstream_loss"] = float(rows[-1].losses[-1].mean())
    return found | {"last_accuracy": rows[-1].mean_accuracy}


def stderr(change: np.ndarray) -> float:
    """Standard error of the mean change of the loss since the pretrained model, paired over held-out examples."""
    return float(change.std(ddof=1)) / math.sqrt(len(change)) if len(change) > 1 else math.nan


def _row(method: DomainLearner, stream: DomainIncremental) -> Row:
    upstream = [stream.upstream] if stream.upstream else []
    return Row([method.losses(task) for task in [*stream, *upstream]], [method.accuracy(task) for task in stream])


def _base_row(method: DomainLearner, stream: DomainIncremental) -> Row:
    """Row 0, once for all trials of a worker that start from the same model and measure the same blocks.

    The key holds all that decides its bits: a matrix product's rounding depends on its batch, that of the losses or
    that of the features.
    """
    s, t, cache = method.spec, method.spec.train, method.cache
    attention = s.optimizing.attention
    key = (s.model, s.stream, t.precision, s.engine.dtype, t.micro_batch_size, t.batch_size, attention)
    if key not in cache:
        cache[key] = _row(method, stream)
    return cache[key]
