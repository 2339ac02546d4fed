"""The measures of a trial, each declared once: columns of `trials`, W&B's summary, `search.metric` and report follow.

A new measure is one line here, and its value under the same name where a trial computes it. Results that were written
before have no such column, which reads as null. Nothing here needs torch or numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

CLASSES, DOMAINS = "class_incremental", "domain_incremental"  # kinds of stream
# Measures that reports know by name: for an accuracy's own error, and for costs.
LAST, EVALUATED = "last_accuracy", "evaluated_images"
SECONDS, FORWARDS, MEMORY = "seconds", "forwards", "peak_memory_bytes"

Better = Literal["max", "min", "neither"]


@dataclass(frozen=True)
class Column:
    """How the report of one kind of stream shows a measure.

    Args:
        kind: The kind of stream.
        place: Columns are in order of it; the best setting of an optimizer is chosen by the first.
        title: The head of the column.
        decimals: How many are shown.
        factor: What a value is multiplied by for the unit of the title.
        bold: Whether the best value of a method is in bold.
        optional: Whether the column is left out where no row has a value.
        meaning: What the legend says of it, if the text of the kind of stream does not.
    """

    kind: str
    place: int
    title: str
    decimals: int
    factor: float = 1
    bold: bool = False
    optional: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class Measure:
    """One number of a finished trial.

    Args:
        name: Its name in `records.Outcome`, tables and sweep files.
        better: Whether more or less of it is better.
        columns: How reports show it, one for each kind of stream that has it.
        type: float or int.
        searched: Whether a sweep may ask for its best trial by it.
        of_stages: Whether it is evaluated after every stage, too, under the same name.
    """

    name: str
    better: Better
    columns: tuple[Column, ...] = ()
    type: type[float] | type[int] = float
    searched: bool = False
    of_stages: bool = False

    @property
    def best(self) -> Callable[[Iterable[float]], float]:
        """The built-in function that takes the best of some values."""
        return max if self.better == "max" else min


class Staged(NamedTuple):
    """What is evaluated after a stage: over all its tasks, a curve, and on single tasks, a matrix."""

    curve: str
    matrix: str


PERCENT = 100  # the factor of a share


def _classes(place: int, title: str, decimals: int = 2, factor: float = PERCENT, **more: Any) -> Column:
    return Column(CLASSES, place, title, decimals, factor, **more)


def _domains(place: int, title: str, decimals: int = 4, factor: float = 1, **more: Any) -> Column:
    return Column(DOMAINS, place, title, decimals, factor, **more)


def _both(place: int, title: str, decimals: int, factor: float = 1) -> tuple[Column, ...]:
    return _classes(place, title, decimals, factor), _domains(place, title, decimals, factor)


_FWT = """\
accuracy on a task just learned, among all classes seen, less that of a fresh model trained on the task alone, among
its own classes, over all tasks but the first"""

# In the order of the columns of `trials`: a new one comes last. Losses are nats a token or squared errors a pixel.
MEASURES: tuple[Measure, ...] = (
    Measure("avg_accuracy", "max", (_classes(1, "Avg %", bold=True),), searched=True),
    Measure(
        LAST,  # of domains, that of the nearest prototype
        "max",
        (_classes(2, "Last %", bold=True), _domains(9, "proto %", 2, PERCENT, optional=True)),
        searched=True,
    ),
    Measure("forgetting", "min", (_classes(3, "Fgt %"), _domains(5, "Fgt", bold=True)), searched=True),
    Measure("bwt", "max", (_domains(6, "BWT"), _classes(5, "BWT %", optional=True)), searched=True),
    Measure("fwt", "max", (_domains(7, "FWT"), _classes(6, "FWT %", optional=True, meaning=_FWT))),
    Measure("final_loss", "min", (_domains(1, "final", bold=True),), searched=True),
    Measure("perplexity", "min", (_domains(2, "ppl", 3, optional=True),)),
    Measure("bits_per_byte", "min", (_domains(3, "bits/byte", 3, optional=True),)),
    Measure("learning_gain", "max", (_domains(4, "gain", bold=True),), searched=True),
    Measure(
        "upstream_loss", "min", (_domains(8, "upstream", bold=True, optional=True),), searched=True, of_stages=True
    ),
    Measure("tokens", "neither", (_domains(10, "tokens", 0, optional=True),), int),
    Measure(SECONDS, "min", _both(21, "seconds", 1)),
    Measure(FORWARDS, "min", _both(20, "forwards", 0), int),
    # Of classes, reports show what is above the untrained control: of a resident set, most is the process.
    Measure(MEMORY, "min", (_domains(22, "peak MiB", 1, 2**-20),), int),
    Measure("plasticity", "max", (_classes(4, "Plast %"),), searched=True),
    Measure(EVALUATED, "neither", (), int),  # how many the accuracy after the last stage is of
)
# Kind of stream -> what is evaluated after its stages.
STAGED = {CLASSES: Staged("stage_accuracy", "accuracy"), DOMAINS: Staged("stage_loss", "loss")}
CURVES = (*(each.curve for each in STAGED.values()), *(measure.name for measure in MEASURES if measure.of_stages))
MATRICES = tuple(each.matrix for each in STAGED.values())
SEARCHED = tuple(measure.name for measure in MEASURES if measure.searched)
BY_NAME = {measure.name: measure for measure in MEASURES}


def columns(kind: str) -> dict[str, Column]:
    """Measure -> its column in the report of a kind of stream, in order.

    >>> list(columns("class_incremental"))[:3]
    ['avg_accuracy', 'last_accuracy', 'forgetting']
    """
    found = [(column, measure.name) for measure in MEASURES for column in measure.columns if column.kind == kind]
    return {name: column for column, name in sorted(found, key=lambda pair: pair[0].place)}
