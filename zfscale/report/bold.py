"""Which cells of a table are in bold: the best of a method or, of paired runs, those that are told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zfscale.metrics.catalogue import BY_NAME, Column
from zfscale.report.kinds import Kind
from zfscale.report.paired import differences, stat
from zfscale.report.rows import OPTIMIZING, TRAINING, Row, rank

Cell = tuple[int, str]  # number of the row, name of the column


def bold(table: Sequence[Row], kind: Kind) -> set[Cell]:
    """The cells in bold: of columns that are marked so."""
    names = [name for name, column in kind.columns.items() if column.bold]
    if kind.paired:
        ahead = {cell for name in names if name in BY_NAME for cell in _ahead(table, name)}
        return ahead | {(i, name) for name in kind.derived if name in names for i in _beyond(table, name)}
    return {cell for name in names for cell in _best(table, name, kind.columns[name])}


def _beyond(table: Sequence[Row], name: str) -> list[int]:
    """The rows whose difference is more than two standard errors from 0."""
    return [i for i, row in enumerate(table) if row.stats[name].beyond]


def _ahead(table: Sequence[Row], name: str) -> list[Cell]:
    """Of each scene, the row that is ahead of all its others by more than two standard errors of the difference.

    A row is compared with the best first, so that nearly all of very many rows are compared with one.
    """
    scenes: dict[tuple[object, ...], list[tuple[int, Row]]] = {}
    for i, row in enumerate(table):
        scenes.setdefault(row.scene(OPTIMIZING, TRAINING), []).append((i, row))
    found = []
    for rows in scenes.values():
        best = sorted(rows, key=lambda pair: rank(pair[1], name))
        for i, row in rows if len(rows) > 1 else ():
            if all(_leads(row, other, name) for _, other in best if other is not row):
                found.append((i, name))
    return found


def _leads(row: Row, other: Row, name: str) -> bool:
    measure, apart = BY_NAME[name], stat(list(differences(row.values(name), other.values(name)).values()))
    return apart.beyond and apart.mean is not None and measure.best((apart.mean, 0.0)) != 0.0


def _best(table: Sequence[Row], name: str, column: Column) -> list[Cell]:
    """Of each method, the rows with the best mean as shown; none where all rows of the method show the same."""
    shown: dict[str, dict[int, float]] = {}
    for i, row in enumerate(table):
        if (mean := row.stats[name].mean) is not None and not math.isnan(mean):
            shown.setdefault(row.method, {})[i] = round(mean * column.factor, column.decimals)
    best = {method: BY_NAME[name].best(found.values()) for method, found in shown.items()}
    return [
        (i, name)
        for method, found in shown.items()
        if max(found.values()) > min(found.values())
        for i, value in found.items()
        if value == best[method]
    ]
