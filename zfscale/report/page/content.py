"""What the page shows, as one tree for JSON: of each kind of stream its tables, and of every trial what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zfscale import __version__
from zfscale.metrics.catalogue import BY_NAME, FORWARDS, SECONDS
from zfscale.report.gathered import Gathered, Section
from zfscale.report.importance import importance, measured
from zfscale.report.kinds import Kind
from zfscale.report.leaderboard import Board, signed
from zfscale.report.load import Trial
from zfscale.report.page.recorded import short
from zfscale.report.page.trials import columns, matrices_of, varying_leaves
from zfscale.report.rows import Row, best, place_text
from zfscale.report.sampling import sampling
from zfscale.report.sheets import Sheet, columns_of, ended, shown
from zfscale.report.text import counts, notes


def content(report: Gathered) -> dict[str, Any]:
    """The whole tree."""
    trials = report.contents.trials
    numbers = {trial.trial_id: i for i, trial in enumerate(trials)}
    return {
        "title": report.title,
        "version": __version__,
        "counts": counts(report.contents),
        "sweeps": [report.pool.name(place) for place in report.pool.places],
        "notes": notes(report.contents),
        "kinds": [_kind(report, section, numbers) for section in report.sections],
        "ended": [_sheet(sheet) for sheet in ended(trials)],
        "runs": columns(report, [row for kind, table in report.tables for row in best(table, kind)]),
    }


def _kind(report: Gathered, section: Section, numbers: Mapping[str, int]) -> dict[str, Any]:
    """The section of one kind of stream."""
    kind, table = section.kind, section.rows
    trials = [trial for trial in report.contents.trials if trial.kind == kind.name]
    shown_columns = columns_of(table, kind)
    top = {id(row) for row in best(table, kind)}
    return {
        "name": kind.name,
        "first": kind.first,
        "spread": "standard error" if kind.paired else "standard deviation",
        "asked": _asked(table, trials),
        "legend": kind.legend(shown_columns.values()),
        "sampling": sampling(trials) if kind.paired else "",
        "table": _sheet(section.table),
        "columns": [_column(name, kind) for name in shown_columns],
        "rows": [_row(row, shown_columns, numbers, kind, id(row) in top) for row in table],
        "equal": [_sheet(sheet) for sheet in section.equal],
        "boards": [_board(board) for board in report.boards if board.kind is kind],
        "importance": _importance(trials, kind),
        "matrix": matrices_of(kind.name),
    }


def _sheet(sheet: Sheet) -> dict[str, Any]:
    bold = [list(cell) for cell in sorted(sheet.bold)]
    return {
        "name": sheet.name,
        "heading": sheet.heading,
        "lines": sheet.lines,
        "words": sheet.words,
        "bold": bold,
        "note": sheet.note,
    }


def _asked(table: Sequence[Row], trials: Sequence[Trial]) -> dict[str, list[str]]:
    """What the sweep was to compare: names, data and models as they first come."""
    leaves = {
        "models": "model.name",
        "data": "stream.dataset",
        "seeds": "seed",
    }
    found = {key: dict.fromkeys(str(trial.spec.get(leaf)) for trial in trials) for key, leaf in leaves.items()}
    domains = dict.fromkeys(name for trial in trials for name in trial.domains)
    return {
        "methods": list(dict.fromkeys(row.method for row in table)),
        "optimizers": list(dict.fromkeys(row.optimizer for row in table)),
        **{key: [value for value in values if value != "None"] for key, values in found.items()},
        "domains": list(domains),
    }


def _column(name: str, kind: Kind) -> dict[str, Any]:
    """How a measure is shown; of what is derived of several rows, more is better."""
    column = kind.columns[name]
    better = BY_NAME[name].better if name in BY_NAME else "neither" if name not in kind.derived else "max"
    return {
        "name": name,
        "title": column.title,
        "factor": column.factor,
        "decimals": column.decimals,
        "better": better,
        "measured": name in BY_NAME,
        "ranked": name in BY_NAME and BY_NAME[name].searched,
        "cost": name in (FORWARDS, SECONDS),
    }


def _row(
    row: Row, shown_columns: Mapping[str, Any], numbers: Mapping[str, int], kind: Kind, best_of_its: bool
) -> dict[str, Any]:
    stats = [row.stats[name] for name in shown_columns]
    spreads = [stat.error if kind.paired else stat.std for stat in stats]
    return {
        "place": place_text(row.place),
        "best": best_of_its,
        "domains": list(row.domains),
        "means": [None if stat.mean is None else short(stat.mean, 8) for stat in stats],
        "spreads": [None if spread is None else short(spread) for spread in spreads],
        "runs": [numbers[trial_id] for trial_id in row.trial_ids],
    }


def _board(board: Board) -> dict[str, Any]:
    measure, cost = board.kind.columns[board.kind.first], board.kind.columns[board.what]
    return {
        "what": board.what,
        "place": board.place,
        "baseline": board.baseline,
        "cells": [
            {
                "method": cell.row.method,
                "optimizer": cell.row.optimizer,
                "value": shown(cell.row.stats[board.kind.first], measure, board.kind),
                "difference": signed(cell.difference, board.kind),
                "beyond": cell.difference.beyond,
                "cost": shown(cell.row.stats[board.what], cost, board.kind),
                "settings": cell.settings,
                "count": len(cell.row.trials),
                "verified": cell.verified,
            }
            for cell in board.cells
        ],
    }


def _importance(trials: Sequence[Trial], kind: Kind) -> dict[str, Any]:
    shares = importance(trials, kind.first, varying_leaves(trials))
    return {"count": len(measured(trials, kind.first)), "shares": [share._asdict() for share in shares]}
