"""One trial, one screen: a stream x a method x an optimizer -> records."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import cache, wraps
from importlib import metadata
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import torch
import torch.distributed as dist

from zfscale.engine.ranks import Ranks
from zfscale.metrics import peak_memory as memory
from zfscale.records import Outcome, Sink, Status
from zfscale.training.journal import Journal
from zfscale.training.snapshots import Snapshots
from zfscale.training.trainers import first_order
from zfscale.trial import class_incremental, domain_incremental
from zfscale.trial.report import Report
from zfscale.zo.exact import ARITHMETIC
from zfscale.zo.ledger import Ledger, Past

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec

STAGES: dict[str, Callable[..., Iterator[Report]]] = {
    "class_incremental": class_incremental.stages,
    "domain_incremental": domain_incremental.stages,
}
RECORDED = ("zfscale", "torch", "deepspeed", "transformers", "ray", "pyarrow")


P = ParamSpec("P")


def to_the_end(walk: Callable[P, Generator[Report, bool | None, Outcome]]) -> Callable[P, Outcome]:
    """A walk as a call, for those who have nothing to decide; of several ranks, rank 0 alone says where it stops."""

    @wraps(walk)
    def run(*args: P.args, **kwargs: P.kwargs) -> Outcome:
        walking = walk(*args, **kwargs)
        while True:
            try:
                next(walking)
            except StopIteration as end:
                return cast(Outcome, end.value)

    return run


def walk(
    spec: TrialSpec,
    base: Any,
    data: Any,
    sink: Sink,
    attempt: int = 1,
    ledger: Ledger | Past | None = None,
    snapshots: Snapshots | None = None,
    cache: dict[Any, Any] | None = None,
    every: int = 0,
) -> Generator[Report, bool | None, Outcome]:
    """Learn the stream task by task, evaluate after each; the caller closes the sink.

    `base` and `data` are what `trial.inputs` loads for the spec. A trial that was killed goes on where its `ledger`
    ends: a forward-only phase at its last step, a first-order one at the last of its `snapshots`. `cache` keeps what
    the pretrained model alone decides from trial to trial. Each report has the costs so far, too; True, sent back,
    stops the trial there, unless it is the last. The time of whoever decides is not the trial's. With `every`, there is
    a report after so many steps, too, in a trial of one rank.
    """
    memory.reset_peak()
    journal = Journal(sink, ledger, snapshots, every)
    measured, stopped_at = dict[str, Any](), None
    for report in stages(spec, base, data, journal, {} if cache is None else cache):
        measured = measured if report.step else report.measures
        with journal.paused():
            measures = report.measures | costs(journal)
            stop = yield replace(report, measures=measures, steps=journal.steps, task=journal.task)
            stop = not report.last and _word_of_first(bool(stop))
        if stop:
            stopped_at = report.stage
            break
    return Outcome(
        Status.FINISHED if stopped_at is None else Status.STOPPED,
        measured | costs(journal),
        bytes_sent=None if first_order(spec).epochs else journal.bytes_sent,
        attempts=attempt,
        versions=versions(),
        stopped_at=stopped_at,
        weights=json.dumps(journal.weights),
    )


run = to_the_end(walk)


def costs(journal: Journal) -> dict[str, float | int]:
    """What the trial has taken up to now."""
    return {"seconds": journal.seconds, "forwards": journal.forwards, "peak_memory_bytes": memory.peak()}


def _word_of_first(stop: bool) -> bool:
    """What rank 0 was told, on every rank of the trial."""
    if not dist.is_initialized():
        return stop
    return Ranks.of_group(torch.device("cuda" if torch.cuda.is_available() else "cpu")).word_of_first(stop)


def stages(spec: TrialSpec, base: Any, data: Any, journal: Journal, cache: dict[Any, Any]) -> Iterator[Report]:
    """Run the trial stage by stage: a report after each, so that whoever walks them may look, or stop."""
    return STAGES[spec.stream.protocol](spec, base, data, journal, cache)


def device() -> str:
    """What the trial runs on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()


def versions() -> str:
    """JSON object of what decides the last bits of the numbers: packages, device, threads; and what memory is of."""
    found = {"python": platform.python_version(), "threads": str(torch.get_num_threads()), "device": device()}
    found["arithmetic"] = str(ARITHMETIC)
    found["cpu"] = torch.backends.cpu.get_cpu_capability()
    found["memory"] = memory.counted()
    return json.dumps(found | _packages())


@cache
def _packages() -> dict[str, str]:
    """What is installed does not change under a process; to look it up takes milliseconds."""
    return {name: _version(name) for name in RECORDED}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
