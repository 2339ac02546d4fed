"""The report of a sweep, from its Parquet tables alone: `report.md` and a picture beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zfscale.report import heat, plot, text
from zfscale.report.kinds import CLASSES, KINDS, Kind
from zfscale.report.load import Trial, losses, stage_accuracies, trials
from zfscale.report.rows import Row, best, rows


def write(root: Path) -> Path:
    """Writes `<root>/report.md` and its pictures; the same tables give the same bytes.

    Returns:
        The path of `report.md`.

    Raises:
        DataError: `root` holds no trials.
    """
    found = trials(root)
    sections = []
    for kind, table in _tables(found):
        figure = _draw(root, kind, table)
        if figure is None:
            (root / kind.picture).unlink(missing_ok=True)
        else:
            figure.savefig(root / kind.picture, metadata={"Software": None})
        sections.append((kind, table, figure is not None))
    path = root / "report.md"
    path.write_text(text.markdown(_title(root), found, sections), encoding="utf-8")
    return path


def table(root: Path) -> str:
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


def _draw(root: Path, kind: Kind, table: Sequence[Row]) -> Any:
    if kind is CLASSES:
        return plot.draw(best(table, kind), stage_accuracies(root))
    return heat.draw(best(table, kind), losses(root))


def _title(root: Path) -> str:
    return Path(root).resolve().name
