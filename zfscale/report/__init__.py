"""The report of a sweep, from its Parquet tables alone: `report.md` and `accuracy_per_stage.png`."""

from __future__ import annotations

from zfscale.report import text
from zfscale.report.load import stage_accuracies, trials
from zfscale.report.plot import draw
from zfscale.report.rows import best, rows
from zfscale.storage import Place, storage

PLOT = "accuracy_per_stage.png"


def write(root: Place) -> str:
    """Writes `<root>/report.md` and the plot beside it; the same tables give the same bytes.

    Returns:
        What `report.md` is called.

    Raises:
        DataError: `root` holds no trials.
    """
    found = trials(root)
    table, lines = rows(found), stage_accuracies(root)
    figure, there = draw(best(table), lines), storage(root)
    if figure is None:
        there.remove(PLOT)
    else:
        with there.writing(PLOT) as path:
            figure.savefig(path, metadata={"Software": None})
    there.write("report.md", text.markdown(_title(root), found, table, PLOT if figure else None).encode())
    return f"{there}/report.md"


def table(root: Place) -> str:
    """The report's table and failures as plain text, for the console.

    Raises:
        DataError: `root` holds no trials.
    """
    found = trials(root)
    return text.plain(_title(root), found, rows(found))


def _title(root: Place) -> str:
    return storage(root).name
