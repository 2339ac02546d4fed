"""The report as Markdown and as plain text: the same cells, laid out twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from zfscale.grid import Cells, aligned, pipes
from zfscale.metrics.catalogue import Column
from zfscale.records import Status
from zfscale.report.bold import bold
from zfscale.report.cuts import cuts, prices
from zfscale.report.kinds import GAIN, Kind, Picture
from zfscale.report.load import Contents, Trial
from zfscale.report.paired import Stat
from zfscale.report.rows import Row
from zfscale.report.sampling import sampling
from zfscale.results.causes import causes
from zfscale.results.check import first

Section = tuple[Kind, Sequence[Row], Sequence[Picture]]  # its rows, and the pictures there are
DAMAGED = "Damaged files: run the same command again, which makes these trials again"
COSTS = """\
Points of Avg over the untrained control, per unit of cost, as means over runs. A first-order step counts as one
forward, its backward not; seconds are those of the whole trial, evaluations included."""
IGNORED = "Ignored: not named by a trial's id"


def markdown(title: str, found: Contents, sections: Sequence[Section]) -> str:
    """The whole report: a section for each kind of stream."""
    parts = [f"# {escape(title)}", counts(found)]
    for kind, table, drawn in sections:
        parts += [_marked(table, kind), kind.legend(_columns(table, kind).values())]
        parts += _more(found.trials, table, kind)
        for picture in drawn:
            parts += [f"## {picture.heading}", f"![{picture.heading}]({picture.file})", picture.caption]
        parts += [] if drawn else ["Nothing to draw."]
    if ended := stopped(found.trials):
        parts += ["## Stopped trials", pipes([[escape(cell) for cell in row] for row in ended], 2)]
    if failed := failures(found.trials):
        parts += ["## Failed trials by cause", pipes([[escape(cell) for cell in row] for row in failed], 99)]
    for heading, lines in notes(found):
        parts += [f"## {heading}", "\n".join(f"- {escape(line)}" for line in lines)]
    return "\n\n".join(parts) + "\n"


def plain(title: str, found: Contents, sections: Sequence[Section]) -> str:
    """The report for a console: counts, tables, failures, files that are damaged or ignored."""
    parts = [f"{one_line(title)}: {counts(found)}"]
    parts += [aligned(_one_lines(cells(table, kind)), _words(table)) for kind, table, _ in sections]
    if ended := stopped(found.trials):
        parts.append("stopped trials\n" + aligned(_one_lines(ended), 2))
    if failed := failures(found.trials):
        parts.append("failed trials by cause\n" + aligned(_one_lines(failed), 99))
    parts += ["\n  ".join([f"{heading}:", *map(one_line, lines)]) for heading, lines in notes(found)]
    return "\n\n".join(parts)


def counts(found: Contents) -> str:
    """How many trials ended, and how: "3 trials finished, 1 failed"."""
    ended = Counter(trial.status for trial in found.trials)
    done, damaged = ended[Status.FINISHED], len({fault.trial_id for fault in found.faults})
    parts = [f"{done} trial{'s' * (done != 1)} finished", f"{ended[Status.FAILED]} failed"]
    parts += [f"{n} {what}" for n, what in ((ended[Status.STOPPED], Status.STOPPED), (damaged, "damaged")) if n]
    return f"{', '.join(parts)}.{verified(found.trials)}"


def verified(trials: Sequence[Trial]) -> str:
    """Of how many trials `zfscale verify` found that they hold, and how exactly; "" where it has looked at none."""
    found = [trial.certificate for trial in trials if trial.certificate]
    if not found:
        return ""
    hold = [each for each in found if each.get("holds") is True]
    exact = {name: sum(each.get(name) is True for each in hold) for name in ("replay_exact", "rerun_exact")}
    parts = [f"{count} {name.replace('_', '-')}" for name, count in exact.items() if count]
    wrong = f"; {len(found) - len(hold)} do not hold" if len(hold) < len(found) else ""
    how = f" ({', '.join(parts)})" if parts else ""
    return f" Verified: {len(hold)} hold{how}{wrong}."


def notes(found: Contents) -> list[tuple[str, list[str]]]:
    """Headings and lines about files that are damaged or are not ours."""
    kinds = [(DAMAGED, [str(fault) for fault in found.faults]), (IGNORED, found.ignored)]
    return [(heading, first(lines)) for heading, lines in kinds if lines]


def escape(text: str) -> str:
    r"""The text as one line of Markdown that shows it as it is, in a cell or elsewhere: no markup, no HTML.

    >>> escape("q_proj|v_proj <b>")
    'q_proj\\|v_proj &lt;b&gt;'
    """
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|`*\[\]~#]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z]))", r"\\\1", text)


def one_line(text: str) -> str:
    """The text without line breaks and other control characters."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)


def printable(text: str, encoding: str | None) -> str:
    """The text with +- in place of the plus-minus sign where the encoding has none.

    >>> printable("1 ± 2", "ascii")
    '1 +- 2'
    """
    try:
        "±".encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return text.replace("±", "+-")
    return text


def _one_lines(lines: Cells) -> Cells:
    return [[one_line(cell) for cell in line] for line in lines]


def cells(table: Sequence[Row], kind: Kind) -> Cells:
    """Header and one line per row, as text."""
    columns = _columns(table, kind)
    lines = [[*_head(table), kind.repeated, *(column.title for column in columns.values())]]
    for row in table:
        numbers = [_stat(row.stats[name], column, kind) for name, column in columns.items()]
        lines.append([*_names(row), str(len(row.trials)), *numbers])
    return lines


def _head(table: Sequence[Row]) -> list[str]:
    return ["method", "optimizer", *_labels(list(table[0].settings))]


def _names(row: Row) -> list[str]:
    return [row.method, row.optimizer, *(_value(value) for value in row.settings.values())]


def _columns(table: Sequence[Row], kind: Kind) -> dict[str, Column]:
    """The columns that are shown."""
    known = {name for row in table for name, stat in row.stats.items() if stat.mean is not None}
    return {name: column for name, column in kind.columns.items() if name in known or not column.optional}


def _marked(table: Sequence[Row], kind: Kind) -> str:
    """The table in Markdown, with what leads in bold."""
    lines = [[escape(cell) for cell in line] for line in cells(table, kind)]
    columns, leading = list(_columns(table, kind)), bold(table, kind)
    for i, line in enumerate(lines[1:]):
        for j, name in enumerate(columns, start=len(line) - len(columns)):
            if (i, name) in leading:
                line[j] = f"**{line[j]}**"
    return pipes(lines, _words(table))


def _more(trials: Sequence[Trial], table: Sequence[Row], kind: Kind) -> list[str]:
    """Of paired runs: the error of one accuracy, the table at equal cost, and what a gain costs."""
    if not kind.paired:
        return []
    parts = [sampling([trial for trial in trials if trial.kind == kind.name])]
    for cut in cuts(table):
        parts += [f"## At equal {cut.what}", _marked(cut.rows, kind)]
    if costs := _costs(table, kind):
        cost_table = pipes([[escape(cell) for cell in line] for line in costs], _words(table))
        parts += ["## What a gain costs", cost_table, COSTS]
    return [part for part in parts if part]


def _costs(table: Sequence[Row], kind: Kind) -> Cells:
    """Header and one line per row with a gain: points of it per 1,000 forwards and per second of the trial."""
    found, column = prices(table), kind.derived[GAIN]
    lines = [[*_head(table), column.title, "per 1,000 forwards", "per second"]] if found else []
    for price in found:
        stats = (price.row.stats[GAIN], price.per_1000_forwards, price.per_second)
        lines.append([*_names(price.row), *(_stat(each, column, kind) for each in stats)])
    return lines


def failures(trials: Sequence[Trial]) -> Cells:
    """Header and one line per cause, with how many trials failed for it and one of them; empty when none failed."""
    failed = {trial.trial_id: trial for trial in trials if trial.status is Status.FAILED}
    lines = [["count", "such as", "method", "optimizer", "seed", "its error"]]
    for cause in causes((t.trial_id, t.error) for t in failed.values()):
        example = failed[cause.trials[0]]
        about = [example.trial_id, example.method, example.optimizer, _value(example.spec.get("seed"))]
        lines.append([str(len(cause.trials)), *about, cause.example])
    return lines if failed else []


def stopped(trials: Sequence[Trial]) -> Cells:
    """Header and one line per method, optimizer and stage after which trials were stopped; empty when none were."""
    found = [trial for trial in trials if trial.status is Status.STOPPED]
    ended = Counter((trial.method, trial.optimizer, trial.stopped_at or 0) for trial in found)
    lines = [[method, optimizer, str(stage or "-"), str(n)] for (method, optimizer, stage), n in sorted(ended.items())]
    return [["method", "optimizer", "after stage", "count"]] * bool(found) + lines


def _stat(stat: Stat, column: Column, kind: Kind) -> str:
    factor, decimals = column.factor, column.decimals
    if stat.mean is None:
        return "-"
    wide = stat.error if kind.paired else stat.std
    spread = "" if wide is None or (wide == 0 and decimals == 0) else f" ± {wide * factor:,.{decimals}f}"
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
