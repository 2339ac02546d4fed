"""What can be measured at a past step, by the stream's protocol and name.

A measure is a function of a `zfscale.measure.point.Point` that gives (task, metric, value) rows; task 0 is all tasks
seen. Its own module is imported when it is asked for; yours is "module:function".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from zfscale import registry
from zfscale.errors import SpecError, ZfscaleError, nearest, one_line

if TYPE_CHECKING:
    from zfscale.measure.point import Point

Row: TypeAlias = "tuple[int, str, float]"
Measure: TypeAlias = "Callable[[Point], Iterable[Row]]"

MEASURES: Mapping[str, Mapping[str, str]] = {
    "class_incremental": {
        "accuracy": "zfscale.measure.classes:accuracy",
        "loss": "zfscale.measure.classes:loss",
        "drift": "zfscale.measure.drift:drift",
    },
    "domain_incremental": {
        "accuracy": "zfscale.measure.domains:accuracy",
        "loss": "zfscale.measure.domains:loss",
        "drift": "zfscale.measure.drift:drift",
    },
}
# Metrics of `evals` that a measure gives, too: at the end of a stage, the row is the trial's own.
RECORDED: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("accuracy", "stage_accuracy", "mean_accuracy"),
    "loss": ("loss", "stage_loss"),
}


def measures(names: Iterable[str], protocol: str) -> dict[str, Measure]:
    """Name -> function. Errors: SpecError for a name that stands for nothing, and for what an import raises."""
    found: dict[str, Measure] = {}
    for name in names:
        if name in MEASURES[protocol]:
            found[name] = registry.load(MEASURES[protocol][name])
        elif registry.is_path(name):
            try:
                found[name] = _own(name, registry.load_user(name))
            except Exception as error:  # whatever a user's module raises
                raise SpecError(f"--what {name}: cannot be imported: {one_line(error)}") from error
        else:
            raise SpecError(f"--what {name}: unknown; {nearest(name, MEASURES[protocol])}, or module:function")
    return found


def _own(name: str, function: Measure) -> Measure:
    """A user's function, whose errors are told as such."""

    def measure(point: Point) -> list[Row]:
        try:
            return [(int(task), str(metric), float(value)) for task, metric, value in function(point)]
        except Exception as error:  # whatever it raises, or gives in place of rows
            raise ZfscaleError(f"--what {name}: {type(error).__name__}: {one_line(error)}") from error

    return measure
