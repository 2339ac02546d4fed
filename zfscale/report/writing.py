"""The files of a report: a page of HTML, Markdown with its pictures, and every table as CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zfscale.report import gain, heat, plot
from zfscale.report.comma import comma
from zfscale.report.controls import Controls
from zfscale.report.gathered import Gathered
from zfscale.report.kinds import Kind, Picture
from zfscale.report.latex import latex
from zfscale.report.load import losses, stage_accuracies
from zfscale.report.page import page
from zfscale.report.page.content import content
from zfscale.report.pool import Pool
from zfscale.report.rows import Row, best
from zfscale.report.sheets import NAMES, Sheet
from zfscale.report.text import markdown
from zfscale.results.layout import GAIN_PICTURE, LOSS_PICTURE, PAGE, REPORT, SHEETS
from zfscale.results.storage import Storage

FORMATS = {"csv": comma, "tex": latex}


def write(report: Gathered, there: Storage) -> str:
    """Write all of them; the same results give the same bytes. The name of the Markdown file is returned."""
    drawn = [_pictures(report.pool, there, kind, table) for kind, table in report.tables]
    there.write(REPORT, _encoded(markdown(report, drawn)))
    there.write(PAGE, page(report.title, content(report)))
    _write_sheets(there, report.sheets)
    return f"{there}/{REPORT}"


def _pictures(found: Pool, there: Storage, kind: Kind, table: Sequence[Row]) -> list[Picture]:
    """Draw what there is to draw; a picture of earlier results that is not drawn again goes."""
    drawn = []
    for picture in kind.pictures:
        figure = _draw(found, picture, kind, table)
        if figure is None:
            there.remove(picture.file)
            continue
        with there.writing(picture.file) as path:
            figure.savefig(path, metadata={"Software": None})
        drawn.append(picture)
    return drawn


def _draw(found: Pool, picture: Picture, kind: Kind, table: Sequence[Row]) -> Any:
    """The figure; None if nothing is to be drawn."""
    shown = best(table, kind)
    trials = [trial_id for row in shown for trial_id in row.trial_ids]
    if picture.file == LOSS_PICTURE:
        return heat.draw(shown, found.read(losses, trials))
    if picture.file == GAIN_PICTURE:
        controls = Controls.of(table)
        return gain.draw(shown, [controls.untrained(row) or row for row in shown])
    return plot.draw(shown, found.read(stage_accuracies, trials))


def _write_sheets(there: Storage, sheets: Sequence[Sheet]) -> None:
    files = {f"{SHEETS}/{sheet.name}.{end}": _encoded(of(sheet)) for sheet in sheets for end, of in FORMATS.items()}
    for name, data in files.items():
        there.write(name, data)
    known = {f"{SHEETS}/{name}.{end}" for name in NAMES for end in FORMATS}
    for name in set(there.names(SHEETS)) & known - files.keys():  # of earlier results
        there.remove(name)


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")
