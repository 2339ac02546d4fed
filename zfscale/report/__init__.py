"""The report of a sweep, from its Parquet tables alone: `report.md` and `accuracy_per_stage.png`."""

from __future__ import annotations

from pathlib import Path

from zfscale.report import text
from zfscale.report.load import stage_accuracies, trials
from zfscale.report.plot import draw
from zfscale.report.rows import best, rows

PLOT = "accuracy_per_stage.png"


def write(root: Path) -> Path:
    """Writes `<root>/report.md` and the plot beside it; the same tables give the same bytes.

    Returns:
        The path of `report.md`.

    Raises:
        DataError: `root` holds no trials.
    """
    found = trials(root)
    table, lines = rows(found), stage_accuracies(root)
    figure = draw(best(table), lines)
    if figure is None:
        (root / PLOT).unlink(missing_ok=True)
    else:
        figure.savefig(root / PLOT, metadata={"Software": None})
    path = root / "report.md"
    path.write_text(text.markdown(_title(root), found, table, PLOT if figure else None), encoding="utf-8")
    return path


def table(root: Path) -> str:
    """The report's table and failures as plain text, for the console.

    Raises:
        DataError: `root` holds no trials.
    """
    found = trials(root)
    return text.plain(_title(root), found, rows(found))


def _title(root: Path) -> str:
    return Path(root).resolve().name
