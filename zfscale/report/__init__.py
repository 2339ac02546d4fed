"""The report of a sweep, from its Parquet tables alone: `report.md` and a picture beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from zfscale.report import heat, plot, text
from zfscale.report.kinds import CLASSES, KINDS, Kind
from zfscale.report.load import Trial, losses, stage_accuracies, trials
from zfscale.report.rows import Row, best, rows
from zfscale.storage import Place, storage


def write(root: Place) -> str:
    """Writes `<root>/report.md` and its pictures; the same tables give the same bytes.

    Returns:
        What `report.md` is called.

    Raises:
        DataError: `root` holds no trials.
    """
    found = trials(root)
    sections, there = [], storage(root)
    for kind, table in _tables(found):
        figure = _draw(root, kind, table)
        if figure is None:
            there.remove(kind.picture)
        else:
            with there.writing(kind.picture) as path:
                figure.savefig(path, metadata={"Software": None})
        sections.append((kind, table, figure is not None))
    there.write("report.md", text.markdown(_title(root), found, sections).encode())
    return f"{there}/report.md"


def table(root: Place) -> str:
    """The report's tables and failures as plain text, for the console.

    Raises:
        DataError: `root` holds no trials.
    """
    found = trials(root)
    return text.plain(_title(root), found, [(kind, rows, False) for kind, rows in _tables(found)])


def _tables(found: Sequence[Trial]) -> Iterator[tuple[Kind, list[Row]]]:
    """The rows of each kind of stream that has any."""
    for name, kind in KINDS.items():
        if mine := rows([trial for trial in found if trial.kind == name]):
            yield kind, mine


def _draw(root: Place, kind: Kind, table: Sequence[Row]) -> Any:
    if kind is CLASSES:
        return plot.draw(best(table, kind), stage_accuracies(root))
    return heat.draw(best(table, kind), losses(root))


def _title(root: Place) -> str:
    return storage(root).name
