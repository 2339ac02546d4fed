"""The table of a class-incremental sweep cut at equal cost, and what a gain costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from zfscale.metrics.catalogue import FORWARDS, SECONDS
from zfscale.report.controls import Controls
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
    scenes: dict[tuple[Any, ...], list[Row]] = {}
    for row in table:
        if row.optimizer not in CONTROLS and (cost(row) or 0) > 0:
            scenes.setdefault(row.scene(OPTIMIZING, TRAINING), []).append(row)
    for mine in scenes.values():
        if always or len({row.scene(OPTIMIZING) for row in mine}) > 1:
            found = _near(mine, cost, _budget(mine, cost))
            kept += found if len(found) > 1 else []
    chosen = {id(row) for row in kept}
    return [row for row in table if id(row) in chosen]


def _budget(rows: Sequence[Row], cost: Callable[[Row], float | None]) -> float:
    """The cost of a row at which most optimizers have one that is near, and of several such the largest."""
    priced = sorted(((cost(row) or 0.0, _who(row)) for row in rows), key=lambda pair: pair[0])
    window: Counter[tuple[Any, ...]] = Counter()
    first, last, most, best = 0, 0, 0, 0.0
    for budget, _ in priced:  # from below, so that of equals the largest stays; the window moves up with it
        while last < len(priced) and _is_near(priced[last][0], budget):
            window[priced[last][1]] += 1
            last += 1
        while not _is_near(priced[first][0], budget):
            window[priced[first][1]] -= 1
            if not window[priced[first][1]]:
                del window[priced[first][1]]
            first += 1
        if len(window) >= most:
            most, best = len(window), budget
    return best


def _near(rows: Sequence[Row], cost: Callable[[Row], float | None], budget: float) -> list[Row]:
    """Of each optimizer, the row that is nearest to the budget, if it is near."""
    nearest: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=lambda row: abs((cost(row) or 0) - budget)):
        nearest.setdefault(_who(row), row)
    return [row for row in nearest.values() if _is_near(cost(row) or 0, budget)]


def _who(row: Row) -> tuple[Any, ...]:
    """An optimizer with its settings, however long it trained."""
    return (row.optimizer, *row.scene(TRAINING))


def _is_near(cost: float, budget: float) -> bool:
    return abs(cost - budget) <= TOLERANCE * budget


@dataclass(frozen=True)
class Price:
    """What the gain of a row is per unit of cost."""

    row: Row
    per_1000_forwards: Stat
    per_second: Stat


def prices(table: Sequence[Row]) -> list[Price]:
    """Of each row that has a gain, the gain per 1,000 forwards and per second, as means over runs."""
    found, controls = [], Controls.of(table)
    for row in table:
        if row.stats[GAIN].mean is not None:
            mine = controls.gains(row)
            rates = [_rate(mine, row.values(name), scale) for name, scale in ((FORWARDS, 1000), (SECONDS, 1))]
            found.append(Price(row, *rates))
    return found


def _rate(mine: dict[tuple[object, ...], float], costs: dict[tuple[object, ...], float | None], scale: float) -> Stat:
    return stat([gain / cost * scale for run, gain in mine.items() if (cost := costs[run])])
