"""The table of a class-incremental sweep cut at equal cost, and what a gain costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zfscale.metrics.catalogue import FORWARDS, SECONDS
from zfscale.report.controls import gains
from zfscale.report.kinds import EPOCHS, GAIN
from zfscale.report.paired import Stat, stat
from zfscale.report.rows import CONTROLS, OPTIMIZING, TRAINING, Row

TOLERANCE = 0.1  # rows within a tenth of a budget count as equal in it


@dataclass(frozen=True)
class Cut:
    """The rows that took about the same of something."""

    what: str
    rows: list[Row]


def cuts(table: Sequence[Row]) -> list[Cut]:
    """The table at equal epochs, forwards and seconds: those that can be had.

    An optimizer that ran with several lengths of training can be compared at another cost than as it ran; where none
    did, the whole table is at equal epochs and there is no other.
    """
    costs: dict[str, Callable[[Row], float | None]] = {
        "epochs": lambda row: row.settings.get(EPOCHS),
        "forwards": lambda row: row.stats[FORWARDS].mean,
        "seconds": lambda row: row.stats[SECONDS].mean,
    }
    made = [Cut(what, equal(table, cost)) for what, cost in costs.items()]
    return [cut for cut in made if cut.rows]


def equal(table: Sequence[Row], cost: Callable[[Row], float | None], always: bool = False) -> list[Row]:
    """In the table's order, one row an optimizer, all within TOLERANCE of one budget a method.

    The budget is the cost of a row: that at which most optimizers have a row, and of several such the largest. Unless
    `always`, a method whose rows were all trained for as long has no cut.
    """
    kept: list[Row] = []
    trained = [row for row in table if row.optimizer not in CONTROLS and (cost(row) or 0) > 0]
    for scene in dict.fromkeys(row.scene(OPTIMIZING, TRAINING) for row in trained):
        mine = [row for row in trained if row.scene(OPTIMIZING, TRAINING) == scene]
        if always or len({row.scene(OPTIMIZING) for row in mine}) > 1:
            at = [(len(found := _near(mine, cost, cost(row) or 0)), cost(row) or 0, found) for row in mine]
            count, _, found = max(at, key=lambda entry: entry[:2])
            kept += found if count > 1 else []
    chosen = {id(row) for row in kept}
    return [row for row in table if id(row) in chosen]


def _near(table: Sequence[Row], cost: Callable[[Row], float | None], budget: float) -> list[Row]:
    """Of each optimizer, the row that is nearest to the budget, if it is near."""
    nearest: dict[tuple[object, ...], Row] = {}
    for row in sorted(table, key=lambda row: abs((cost(row) or 0) - budget)):
        nearest.setdefault((row.optimizer, *row.scene(TRAINING)), row)
    return [row for row in nearest.values() if abs((cost(row) or 0) - budget) <= TOLERANCE * budget]


@dataclass(frozen=True)
class Price:
    """What the gain of a row is per unit of cost."""

    row: Row
    per_1000_forwards: Stat
    per_second: Stat


def prices(table: Sequence[Row]) -> list[Price]:
    """Of each row that has a gain, the gain per 1,000 forwards and per second, as means over runs."""
    found = []
    for row in table:
        if row.stats[GAIN].mean is not None:
            mine = gains(row, table)
            rates = [_rate(mine, row.values(name), scale) for name, scale in ((FORWARDS, 1000), (SECONDS, 1))]
            found.append(Price(row, *rates))
    return found


def _rate(mine: dict[tuple[object, ...], float], costs: dict[tuple[object, ...], float | None], scale: float) -> Stat:
    return stat([gain / cost * scale for run, gain in mine.items() if (cost := costs[run])])
