"""A table of the report as CSV (RFC 4180): its numbers as numbers, and what follows ± in a column of its own."""

from __future__ import annotations

import csv
import io
import re

from zfscale.report.sheets import Sheet
from zfscale.report.text import one_line
from zfscale.text_table import Cells

NUMBER = re.compile(r"(?P<mean>[-+]?(?:[\d,]+(?:\.\d+)?|nan|inf))(?: ± (?P<spread>[\d,.]+|nan|inf))?")
FORMULA = ("=", "+", "-", "@")  # what a spreadsheet would compute


def comma(sheet: Sheet) -> str:
    """The table, header first; "-", where there is nothing, is an empty cell."""
    columns = [column for j in range(len(sheet.lines[0])) for column in _columns(sheet, j)]
    out = io.StringIO()
    csv.writer(out).writerows(zip(*columns, strict=True))
    return out.getvalue()


def _columns(sheet: Sheet, j: int) -> Cells:
    """The column, and that of its spread if any cell has one."""
    head, *cells = [line[j] for line in sheet.lines]
    found = [None if j < sheet.words else NUMBER.fullmatch(cell) for cell in cells]
    means = [_text(cell) if match is None else _plain(match["mean"]) for cell, match in zip(cells, found, strict=True)]
    if not any(match and match["spread"] for match in found):
        return [[_text(head), *means]]
    return [[_text(head), *means], [f"{_text(head)} ±", *(_plain(match and match["spread"]) for match in found)]]


def _plain(number: str | None) -> str:
    return (number or "").replace(",", "").removeprefix("+")


def _text(cell: str) -> str:
    """One line that no spreadsheet takes for a formula; a leading apostrophe says so.

    >>> _text("=1+1"), _text("-"), _text("zo-sgd")
    ("'=1+1", '', 'zo-sgd')
    """
    line = one_line(cell)
    if line == "-":
        return ""
    return f"'{line}" if line.lstrip().startswith(FORMULA) else line
