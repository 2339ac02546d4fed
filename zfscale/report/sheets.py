"""The tables of a report as cells, laid out nowhere yet: every format shows the same of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from zfscale.metrics.catalogue import FORWARDS, SECONDS, Column
from zfscale.records import Status
from zfscale.report.bold import bold
from zfscale.report.cuts import cuts, prices
from zfscale.report.kinds import EPOCHS, GAIN, KINDS, Kind
from zfscale.report.load import Trial
from zfscale.report.paired import Stat
from zfscale.report.rows import Row
from zfscale.results.causes import causes
from zfscale.text_table import Cells

COSTS = """\
Points of Avg over the untrained control, per unit of cost, as means over runs. A first-order step counts as one
forward, its backward not; seconds are those of the whole trial, evaluations included."""
VERIFIED = "✓"  # of a row all of whose trials have certificates that hold
STOPPED, FAILED, PRICES, LEADERS = "stopped_trials", "failed_trials", "gain_costs", "leaderboard"
CUTS = (EPOCHS.rpartition(".")[2], FORWARDS, SECONDS)
# Every name that a sheet may have.
NAMES = (
    *(f"{kind}{rest}" for kind in KINDS for rest in ("", *(f"_at_equal_{what}" for what in CUTS), f"_{PRICES}")),
    *(f"{LEADERS}_{kind}_{what}" for kind in KINDS for what in (FORWARDS, SECONDS)),
    STOPPED,
    FAILED,
)


@dataclass(frozen=True)
class Sheet:
    """One table.

    Args:
        name: One of NAMES.
        heading: What stands above it.
        lines: The header, then a line a row. Cells are plain text.
        words: How many columns, from the left, hold words rather than numbers.
        bold: Cells in bold, each a number of a row, from 0, and of a column.
        note: What stands below it.
    """

    name: str
    heading: str
    lines: Cells
    words: int
    bold: frozenset[tuple[int, int]] = field(default=frozenset())
    note: str = ""


def main(table: Sequence[Row], kind: Kind, name: str = "", heading: str = "") -> Sheet:
    """The rows with all columns that are shown, and what leads in bold."""
    columns, first = list(columns_of(table, kind)), words(table) + 1
    leading = frozenset((i, columns.index(column) + first) for i, column in bold(table, kind) if column in columns)
    return Sheet(name or kind.name, heading, cells(table, kind), words(table), leading)


def at_equal_cost(table: Sequence[Row], kind: Kind) -> list[Sheet]:
    """Of paired runs: the table at equal cost, and what a gain costs."""
    if not kind.paired:
        return []
    found = [main(cut.rows, kind, f"{kind.name}_at_equal_{cut.what}", f"At equal {cut.what}") for cut in cuts(table)]
    lines = _costs(table, kind)
    return [
        *found,
        *([Sheet(f"{kind.name}_{PRICES}", "What a gain costs", lines, words(table), note=COSTS)] * bool(lines)),
    ]


def ended(trials: Sequence[Trial]) -> list[Sheet]:
    """The trials that were stopped, and those that failed, by cause."""
    found = [
        Sheet(STOPPED, "Stopped trials", stopped(trials), 2),
        Sheet(FAILED, "Failed trials by cause", failures(trials), 99),
    ]
    return [sheet for sheet in found if sheet.lines]


def cells(table: Sequence[Row], kind: Kind) -> Cells:
    """Header and one line per row, as text."""
    columns = columns_of(table, kind)
    lines = [[*_head(table), kind.repeated, *(column.title for column in columns.values())]]
    for row in table:
        numbers = [shown(row.stats[name], column, kind) for name, column in columns.items()]
        lines.append([*_names(row), str(len(row.trials)), *numbers])
    return lines


def columns_of(table: Sequence[Row], kind: Kind) -> dict[str, Column]:
    """The columns that are shown."""
    known = {name for row in table for name, stat in row.stats.items() if stat.mean is not None}
    return {name: column for name, column in kind.columns.items() if name in known or not column.optional}


def words(table: Sequence[Row]) -> int:
    """How many columns, from the left, hold words rather than numbers."""
    return 2 + len(table[0].settings)


def failures(trials: Sequence[Trial]) -> Cells:
    """Header and one line per cause, with how many trials failed for it and one of them; empty when none failed."""
    failed = {trial.trial_id: trial for trial in trials if trial.status is Status.FAILED}
    lines = [["count", "such as", "method", "optimizer", "seed", "its error"]]
    for cause in causes((t.trial_id, t.error) for t in failed.values()):
        example = failed[cause.trials[0]]
        about = [example.trial_id, example.method, example.optimizer, value_text(example.spec.get("seed"))]
        lines.append([str(len(cause.trials)), *about, cause.example])
    return lines if failed else []


def stopped(trials: Sequence[Trial]) -> Cells:
    """Header and one line per method, optimizer and stage after which trials were stopped; empty when none were."""
    found = [trial for trial in trials if trial.status is Status.STOPPED]
    ended = Counter((trial.method, trial.optimizer, trial.stopped_at or 0) for trial in found)
    lines = [[method, optimizer, str(stage or "-"), str(n)] for (method, optimizer, stage), n in sorted(ended.items())]
    return [["method", "optimizer", "after stage", "count"]] * bool(found) + lines


def shown(stat: Stat, column: Column, kind: Kind) -> str:
    """Mean and spread in the units of a column: standard errors of paired runs, else standard deviations."""
    factor, decimals = column.factor, column.decimals
    if stat.mean is None:
        return "-"
    wide = stat.error if kind.paired else stat.std
    spread = "" if wide is None or (wide == 0 and decimals == 0) else f" ± {wide * factor:,.{decimals}f}"
    return f"{stat.mean * factor:,.{decimals}f}{spread}"


def value_text(value: Any) -> str:
    """The value of a leaf, as tables show it."""
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def labels(leaves: Sequence[str]) -> list[str]:
    """The last word of each dotted path, or the whole path where the word is not enough."""
    last = [leaf.rpartition(".")[2] for leaf in leaves]
    return [word if last.count(word) == 1 else leaf for leaf, word in zip(leaves, last, strict=True)]


def _costs(table: Sequence[Row], kind: Kind) -> Cells:
    """Header and one line per row with a gain: points of it per 1,000 forwards and per second of the trial."""
    found, column = prices(table), kind.derived[GAIN]
    lines = [[*_head(table), column.title, "per 1,000 forwards", "per second"]] if found else []
    for price in found:
        stats = (price.row.stats[GAIN], price.per_1000_forwards, price.per_second)
        lines.append([*_names(price.row), *(shown(each, column, kind) for each in stats)])
    return lines


def _head(table: Sequence[Row]) -> list[str]:
    return ["method", "optimizer", *labels(list(table[0].settings))]


def _names(row: Row) -> list[str]:
    return [row.method, row.optimizer, *(value_text(value) for value in row.settings.values())]
