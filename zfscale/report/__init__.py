"""The report of a sweep, from its Parquet tables alone: a Markdown file and a picture beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from zfscale.report import gain, heat, plot, text
from zfscale.report.controls import compared, untrained
from zfscale.report.kinds import KINDS, Kind, Picture
from zfscale.report.load import Contents, Trial, contents, losses, stage_accuracies
from zfscale.report.rows import Row, best, rows
from zfscale.results.layout import GAIN_PICTURE, LOSS_PICTURE, REPORT
from zfscale.results.storage import Place, storage


def write(root: Place) -> str:
    """Writes the Markdown file and its pictures; the same tables give the same bytes.

    Returns:
        The name of the Markdown file, with that of the results.

    Raises:
        DataError: `root` holds no trials.
        StorageError: The storage refuses.
    """
    return make(root)[1]


def table(root: Place) -> str:
    """The report's tables, failures and damaged files as plain text, for the console.

    Raises:
        DataError: `root` holds no trials.
    """
    found = contents(root)
    return _plain(root, found, _tables(found.trials))


def make(root: Place, found: Contents | None = None) -> tuple[str, str]:
    """Write the report of what was `found`, or after one look: what `table` gives, and the Markdown file's name."""
    found = found or contents(root)
    sections, there, tables = [], storage(root), list(_tables(found.trials))
    for kind, table in tables:
        drawn = []
        for picture in kind.pictures:
            figure = _draw(root, picture, kind, table, found.finished)
            if figure is None:
                there.remove(picture.file)
                continue
            with there.writing(picture.file) as path:
                figure.savefig(path, metadata={"Software": None})
            drawn.append(picture)
        sections.append((kind, table, drawn))
    markdown = text.markdown(_title(root), found, sections)
    there.write(REPORT, markdown.encode(errors="backslashreplace"))
    return _plain(root, found, tables), f"{there}/{REPORT}"


def _plain(root: Place, found: Contents, tables: Iterable[tuple[Kind, list[Row]]]) -> str:
    return text.plain(_title(root), found, [(kind, rows, ()) for kind, rows in tables])


def _tables(found: Sequence[Trial]) -> Iterator[tuple[Kind, list[Row]]]:
    """The rows of each kind of stream that has any."""
    for name, kind in KINDS.items():
        if mine := rows([trial for trial in found if trial.kind == name]):
            yield kind, compared(mine) if kind.paired else mine


def _draw(root: Place, picture: Picture, kind: Kind, table: Sequence[Row], finished: Collection[str]) -> Any:
    """The figure; None if nothing is to be drawn."""
    shown = best(table, kind)
    if picture.file == LOSS_PICTURE:
        return heat.draw(shown, losses(root, finished))
    if picture.file == GAIN_PICTURE:
        return gain.draw(shown, [untrained(row, table) or row for row in shown])
    return plot.draw(shown, stage_accuracies(root, finished))


def _title(root: Place) -> str:
    return storage(root).name
