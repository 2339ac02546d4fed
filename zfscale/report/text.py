"""The report as Markdown and as plain text: the same cells, laid out twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from zfscale.report.kinds import Kind
from zfscale.report.load import Trial
from zfscale.report.rows import Row, Stat

Section = tuple[Kind, Sequence[Row], bool]  # its rows, and whether there is a picture
Cells = list[list[str]]


def markdown(title: str, trials: Sequence[Trial], sections: Sequence[Section]) -> str:
    """The whole report: a section for each kind of stream."""
    parts = [f"# {title}", counts(trials)]
    for kind, table, drawn in sections:
        parts += [_pipes(cells(table, kind, bold="**"), _words(table)), kind.legend, f"## {kind.heading}"]
        parts += [f"![{kind.heading}]({kind.picture})", kind.caption] if drawn else ["Nothing to draw."]
    if failed := failures(trials):
        parts += ["## Failed trials", _pipes([[_escape(cell) for cell in row] for row in failed], 99)]
    return "\n\n".join(parts) + "\n"


def plain(title: str, trials: Sequence[Trial], sections: Sequence[Section]) -> str:
    """The report for a console: counts, tables, failures."""
    parts = [f"{title}: {counts(trials)}"]
    parts += [_aligned(cells(table, kind), _words(table)) for kind, table, _ in sections]
    if failed := failures(trials):
        parts.append("failed trials\n" + _aligned(failed, 99))
    return "\n\n".join(parts)


def counts(trials: Sequence[Trial]) -> str:
    """How many trials ended, and how: "3 trials finished, 1 failed"."""
    done = sum(trial.status == "finished" for trial in trials)
    return f"{done} trial{'s' * (done != 1)} finished, {len(trials) - done} failed."


def cells(table: Sequence[Row], kind: Kind, bold: str = "") -> Cells:
    """Header and one line per row, as text; `bold` goes around the best of each method."""
    known = {name for row in table for name, stat in row.stats.items() if stat.mean is not None}
    columns = {name: how for name, how in kind.columns.items() if name in known or name not in kind.optional}
    header = ["method", "optimizer", *_labels(list(table[0].settings)), "seeds"]
    lines = [header + [title for title, _, _ in columns.values()]]
    leaders = _leaders(table, kind)
    for row in table:
        line = [row.method, row.optimizer, *(_value(value) for value in row.settings.values())]
        line.append(str(len(row.trial_ids)))
        for name, how in columns.items():
            mark = bold if _shown(row, name, how) == leaders.get((row.method, name)) else ""
            line.append(f"{mark}{_stat(row.stats[name], how)}{mark}")
        lines.append(line)
    return lines


def failures(trials: Sequence[Trial]) -> Cells:
    """Header and one line per failed trial; empty when none failed."""
    failed = [trial for trial in trials if trial.status != "finished"]
    header = ["trial", "method", "optimizer", "seed", "error"]
    return [header] * bool(failed) + [
        [t.trial_id, t.method, t.optimizer, _value(t.spec.get("seed")), _last_line(t.error)] for t in failed
    ]


def _leaders(table: Sequence[Row], kind: Kind) -> dict[tuple[str, str], float]:
    """(method, measure) -> the best mean as shown; absent where all rows of the method show the same."""
    shown: dict[tuple[str, str], list[float]] = {}
    for row in table:
        for name in kind.leaders:
            if row.stats[name].mean is not None:
                shown.setdefault((row.method, name), []).append(_shown(row, name, kind.columns[name]))
    return {key: kind.leaders[key[1]](values) for key, values in shown.items() if max(values) > min(values)}


def _shown(row: Row, name: str, how: tuple[str, float, int]) -> float:
    _, factor, decimals = how
    mean = row.stats[name].mean
    return math.nan if mean is None else round(mean * factor, decimals)


def _stat(stat: Stat, how: tuple[str, float, int]) -> str:
    _, factor, decimals = how
    if stat.mean is None:
        return "-"
    std = stat.std
    spread = "" if std is None or (std == 0 and decimals == 0) else f" ± {std * factor:,.{decimals}f}"
    return f"{stat.mean * factor:,.{decimals}f}{spread}"


def _value(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _labels(leaves: Sequence[str]) -> list[str]:
    """The last word of each dotted path, or the whole path where the word is not enough."""
    words = [leaf.rpartition(".")[2] for leaf in leaves]
    return [word if words.count(word) == 1 else leaf for leaf, word in zip(leaves, words, strict=True)]


def _words(table: Sequence[Row]) -> int:
    """How many columns, from the left, hold words rather than numbers."""
    return 2 + len(table[0].settings)


def _last_line(error: str | None) -> str:
    """Of a traceback, the line that says what was wrong."""
    return next(iter((error or "").strip().splitlines()[::-1]), "-")


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")


def _pad(lines: Cells, left: int) -> Cells:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]


def _pipes(lines: Cells, left: int) -> str:
    padded = _pad(lines, left)
    rule = ["-" * len(cell) if i < left else "-" * (len(cell) - 1) + ":" for i, cell in enumerate(padded[0])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [padded[0], rule, *padded[1:]])


def _aligned(lines: Cells, left: int) -> str:
    padded = _pad(lines, left)
    rule = ["-" * len(cell) for cell in padded[0]]
    return "\n".join("  ".join(line).rstrip() for line in [padded[0], rule, *padded[1:]])
