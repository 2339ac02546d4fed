"""All that a report says, in whichever format."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from zfscale.report import leaderboard
from zfscale.report.controls import compared
from zfscale.report.kinds import KINDS, Kind
from zfscale.report.leaderboard import Board, boards
from zfscale.report.load import Contents
from zfscale.report.pool import Pool
from zfscale.report.rows import Row, rows
from zfscale.report.sheets import Sheet, at_equal_cost, ended, main


@dataclass(frozen=True)
class Section:
    """What is said of one kind of stream.

    Args:
        kind: The kind.
        rows: Its rows.
        table: All of them.
        equal: Those at equal cost, and what a gain costs.
    """

    kind: Kind
    rows: list[Row]
    table: Sheet
    equal: list[Sheet]


@dataclass(frozen=True)
class Gathered:
    """The trials, and what is said of them.

    Args:
        pool: The sweeps.
        baseline: What leaderboards compare with; None for their own choice.
    """

    pool: Pool
    baseline: str | None = None

    @property
    def title(self) -> str:
        """The names of the sweeps."""
        return self.pool.title

    @property
    def contents(self) -> Contents:
        """The trials."""
        return self.pool.contents

    @cached_property
    def tables(self) -> list[tuple[Kind, list[Row]]]:
        """The rows of each kind of stream that has any."""
        trials, found = self.contents.trials, []
        for name, kind in KINDS.items():
            if mine := rows([trial for trial in trials if trial.kind == name]):
                found.append((kind, compared(mine) if kind.paired else mine))
        return found

    @cached_property
    def sections(self) -> list[Section]:
        """The tables of each kind."""
        return [Section(kind, rows, main(rows, kind), at_equal_cost(rows, kind)) for kind, rows in self.tables]

    @cached_property
    def boards(self) -> list[Board]:
        """The leaderboards."""
        return [board for kind, table in self.tables for board in boards(table, kind, self.baseline)]

    @cached_property
    def sheets(self) -> list[Sheet]:
        """Every table."""
        of_kinds = [sheet for section in self.sections for sheet in (section.table, *section.equal)]
        return [*of_kinds, *leaderboard.sheets(self.boards), *ended(self.contents.trials)]
