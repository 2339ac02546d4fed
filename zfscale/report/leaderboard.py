"""Methods x optimizers at equal cost, with paired differences from a baseline, and which cells are verified.

A board is of one model and stream, and of one cost: forwards or seconds. A method's cells are those of its optimizers
that took about as much of it (`cuts.equal`); where an optimizer has several settings there, its best stands for it, and
the cell says of how many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zfscale.errors import ZfscaleError, nearest
from zfscale.metrics.catalogue import FORWARDS, SECONDS
from zfscale.report.cuts import TOLERANCE, equal
from zfscale.report.kinds import Kind
from zfscale.report.paired import Stat, differences, stat
from zfscale.report.rows import Row, place_text, rank
from zfscale.report.sheets import LEADERS, VERIFIED, Sheet, shown
from zfscale.text_table import Cells

COSTS = (FORWARDS, SECONDS)
NONE = "No two optimizers of a method took the same forwards or seconds, so there is nothing to compare."
NOTE = f"""\
Rows of a method took the same cost within {TOLERANCE:.0%}; those of another method may have taken another. Differences
are paired by run, mean ± standard error; bold is more than two standard errors from 0. "best of" counts the settings
of an optimizer at this cost: that with the best mean is shown, which favours an optimizer with more of them.
{VERIFIED}: `zfscale verify` has left a certificate that holds for every trial of the row."""


@dataclass(frozen=True)
class Cell:
    """One method with one optimizer.

    Args:
        row: Its trials.
        settings: How many settings it is the best of.
        difference: From the baseline, paired by run; nothing where there is none, and of the baseline itself.
        verified: Whether all trials have certificates that hold.
    """

    row: Row
    settings: int
    difference: Stat
    verified: bool


@dataclass(frozen=True)
class Board:
    """Cells of one place at one cost, methods in the table's order, the best optimizer of each first."""

    kind: Kind
    what: str
    place: str
    baseline: str
    cells: tuple[Cell, ...]


def boards(table: Sequence[Row], kind: Kind, baseline: str | None = None) -> list[Board]:
    """A board for each cost and place at which two optimizers can be compared.

    Args:
        table: The rows of one kind of stream.
        kind: That kind.
        baseline: OPTIMIZER, of the same method, or METHOD/OPTIMIZER; by default the optimizer with most rows.
    """
    kept = {what: equal(table, _cost(what), always=True) for what in COSTS}
    usual = Counter(row.optimizer for rows in kept.values() for row in rows)
    found = []
    for what, rows in kept.items():
        for place in dict.fromkeys(row.place for row in rows):
            chosen, counts = _best([row for row in rows if row.place == place], kind)
            against = baseline or max((row.optimizer for row in chosen), key=usual.__getitem__)
            cells = [_cell(row, _baseline(row, chosen, against, what), kind, counts) for row in chosen]
            found.append(Board(kind, what, place_text(place), against, tuple(cells)))
    return found


def check(table: Sequence[Row], baseline: str) -> None:
    """Errors: ZfscaleError if no row is the baseline."""
    names = {name for row in table for name in (row.optimizer, _name(row))}
    if baseline not in names:
        raise ZfscaleError(f"--baseline {baseline}: no such row; {nearest(baseline, names)}")


def sheets(found: Sequence[Board]) -> list[Sheet]:
    """A table for each kind of stream and cost; where there are several places, they are a column."""
    made = []
    for kind, what in dict.fromkeys((board.kind.name, board.what) for board in found):
        mine = [board for board in found if (board.kind.name, board.what) == (kind, what)]
        made.append(_sheet(mine, any(board.place for board in mine)))
    return made


def _cost(what: str) -> Callable[[Row], float | None]:
    return lambda row: row.stats[what].mean


def _cell(row: Row, other: Row | None, kind: Kind, counts: Mapping[tuple[str, str], int]) -> Cell:
    verified = all(trial.verified for trial in row.trials.values())
    return Cell(row, counts[row.method, row.optimizer], _difference(row, other, kind), verified)


def _best(rows: Sequence[Row], kind: Kind) -> tuple[list[Row], Counter[tuple[str, str]]]:
    """Of each method and optimizer the row with the best mean, the best of a method first; and how many there were."""
    known = [row for row in rows if row.stats[kind.first].mean is not None]
    ranked = sorted(known, key=lambda row: rank(row, kind.first))
    top: dict[tuple[str, str], Row] = {}
    for row in ranked:
        top.setdefault((row.method, row.optimizer), row)
    methods = list(dict.fromkeys(row.method for row in rows))
    counts = Counter((row.method, row.optimizer) for row in ranked)
    return sorted(top.values(), key=lambda row: methods.index(row.method)), counts


def _baseline(row: Row, rows: Sequence[Row], name: str, what: str) -> Row | None:
    """What a row is compared with: of the same method, or one named for all that took about as much."""
    for other in rows:
        if _name(other) == name:
            mine, its = row.stats[what].mean or 0.0, other.stats[what].mean or 0.0
            return other if abs(mine - its) <= TOLERANCE * its else None
        if other.optimizer == name and other.method == row.method:
            return other
    return None


def _difference(row: Row, other: Row | None, kind: Kind) -> Stat:
    if other is None or other is row:
        return Stat()
    return stat(list(differences(row.values(kind.first), other.values(kind.first)).values()))


def _name(row: Row) -> str:
    return f"{row.method}/{row.optimizer}"


def _sheet(found: Sequence[Board], placed: bool) -> Sheet:
    kind, what = found[0].kind, found[0].what
    measure, cost = kind.columns[kind.first], kind.columns[what]
    head = [
        "method",
        "optimizer",
        *["model and stream"] * placed,
        "against",
        kind.repeated,
        measure.title,
        "difference",
    ]
    lines: Cells = [[*head, cost.title, "best of", "verified"]]
    bold = set()
    for board in found:
        for cell in board.cells:
            if cell.difference.beyond:
                bold.add((len(lines) - 1, head.index("difference")))
            lines.append(
                [
                    *(cell.row.method, cell.row.optimizer),
                    *[board.place or "-"] * placed,
                    *(board.baseline, str(len(cell.row.trials))),
                    *(shown(cell.row.stats[kind.first], measure, kind), signed(cell.difference, kind)),
                    *(shown(cell.row.stats[what], cost, kind), str(cell.settings), VERIFIED if cell.verified else "-"),
                ]
            )
    name = f"{LEADERS}_{kind.name}_{what}"
    return Sheet(name, f"Leaderboard at equal {what}", lines, 3 + placed, frozenset(bold), NOTE)


def signed(difference: Stat, kind: Kind) -> str:
    """Always mean ± standard error, for that is what paired differences have."""
    column = kind.columns[kind.first]
    if difference.mean is None:
        return "-"
    error = "" if difference.error is None else f" ± {difference.error * column.factor:,.{column.decimals}f}"
    return f"{difference.mean * column.factor:+,.{column.decimals}f}{error}"
