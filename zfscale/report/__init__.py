"""The report of one sweep or several, from Parquet tables alone: Markdown, a page of HTML, tables, pictures."""

from __future__ import annotations

from collections.abc import Sequence

from zfscale.errors import DataError
from zfscale.report import leaderboard
from zfscale.report.gathered import Gathered
from zfscale.report.load import Contents
from zfscale.report.pool import pool
from zfscale.report.text import plain, sheets_marked, sheets_plain
from zfscale.results.layout import TRIALS
from zfscale.results.storage import Place, storage


def make(root: Place, found: Contents | None = None) -> tuple[str, str]:
    """Write the report of a sweep, as `found` or as it is now, beside its results; the same tables give the same bytes.

    Returns:
        Tables, failures and damaged files as plain text for the console, and the name of the Markdown file.

    Raises:
        DataError: `root` holds no trials.
        StorageError: The storage refuses.
    """
    return _made(Gathered(pool([root], found)), root)


def combine(roots: Sequence[Place], out: Place) -> tuple[str, str]:
    """Write one report of several sweeps to a directory of its own; it returns what `make` returns.

    Raises:
        DataError: A directory of `roots` holds no trials, or `out` holds some, whose own report would be replaced.
    """
    if storage(out).exists(TRIALS):
        raise DataError(f"{out}: holds the results of a sweep, whose own report would be replaced; give another --out")
    return _made(Gathered(pool(roots)), out)


def leaders(roots: Sequence[Place], baseline: str | None = None, markdown: bool = False) -> str:
    """The leaderboards of one sweep or several, as plain text or in Markdown.

    Raises:
        DataError: A directory holds no trials.
        ZfscaleError: There is no such baseline.
    """
    found = Gathered(pool(roots), baseline)
    if baseline is not None:
        leaderboard.check([row for _, table in found.tables for row in table], baseline)
    sheets = leaderboard.sheets(found.boards)
    return (sheets_marked if markdown else sheets_plain)(sheets) if sheets else leaderboard.NONE


def _made(found: Gathered, out: Place) -> tuple[str, str]:
    from zfscale.report.writing import write as write_files

    return plain(found), write_files(found, storage(out))
