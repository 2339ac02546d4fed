"""The report as Markdown and as plain text: the same cells, laid out twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from zfscale.records import Status
from zfscale.report.gathered import Gathered
from zfscale.report.kinds import Picture
from zfscale.report.load import Contents, Trial
from zfscale.report.sampling import sampling
from zfscale.report.sheets import VERIFIED, Sheet, columns_of, ended
from zfscale.results.check import first
from zfscale.text_table import aligned, pipes

DAMAGED = "Damaged files: run the same command again, which makes these trials again"
IGNORED = "Ignored: not named by a trial's id"
MIXED = "Other inputs under the same name, in tables that make one mean of them"
TWICE = "Trials that are in several of these sweeps"


def markdown(report: Gathered, drawn: Sequence[Sequence[Picture]]) -> str:
    """The whole report: a section for each kind of stream, with the pictures that there are of it."""
    trials = report.contents.trials
    parts = [f"# {escape(report.title)}", escape(counts(report.contents))]
    for section, pictures in zip(report.sections, drawn, strict=True):
        kind = section.kind
        parts += [marked(section.table), kind.legend(columns_of(section.rows, kind).values())]
        if kind.paired:
            parts.append(sampling([trial for trial in trials if trial.kind == kind.name]))
        for sheet in section.equal:
            parts += [f"## {sheet.heading}", marked(sheet), sheet.note]
        for picture in pictures:
            parts += [f"## {picture.heading}", f"![{picture.heading}]({picture.file})", picture.caption]
        parts += [] if pictures else ["Nothing to draw."]
    for sheet in ended(trials):
        parts += [f"## {sheet.heading}", marked(sheet)]
    for heading, lines in notes(report.contents):
        parts += [f"## {heading}", "\n".join(f"- {escape(line)}" for line in lines)]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(report: Gathered) -> str:
    """The report for a console: counts, tables, failures, files that are damaged or ignored."""
    parts = [f"{one_line(report.title)}: {counts(report.contents)}"]
    parts += [_aligned(section.table) for section in report.sections]
    parts += [f"{sheet.heading.lower()}\n{_aligned(sheet)}" for sheet in ended(report.contents.trials)]
    parts += ["\n  ".join([f"{heading}:", *map(one_line, lines)]) for heading, lines in notes(report.contents)]
    return "\n\n".join(parts)


def sheets_plain(sheets: Sequence[Sheet]) -> str:
    """Tables for a console, one note below the last of those that share it."""
    parts = [f"{sheet.heading}\n{_aligned(sheet)}" for sheet in sheets]
    return "\n\n".join([*parts, *dict.fromkeys(sheet.note for sheet in sheets if sheet.note)])


def sheets_marked(sheets: Sequence[Sheet]) -> str:
    """The same in Markdown."""
    parts = [f"## {sheet.heading}\n\n{marked(sheet)}" for sheet in sheets]
    return "\n\n".join([*parts, *dict.fromkeys(sheet.note for sheet in sheets if sheet.note)])


def marked(sheet: Sheet) -> str:
    """The table in Markdown, with what leads in bold."""
    lines = [[escape(cell) for cell in line] for line in sheet.lines]
    for i, j in sheet.bold:
        lines[i + 1][j] = f"**{lines[i + 1][j]}**"
    return pipes(lines, sheet.words)


def counts(found: Contents) -> str:
    """How many trials ended, and how: "3 trials finished, 1 failed"; how many were not wanted."""
    ended = Counter(trial.status for trial in found.trials)
    done, damaged = ended[Status.FINISHED], len({fault.trial_id for fault in found.faults})
    parts = [f"{done} trial{'s' * (done != 1)} finished", f"{ended[Status.FAILED]} failed"]
    parts += [f"{n} {what}" for n, what in ((ended[Status.STOPPED], Status.STOPPED), (damaged, "damaged")) if n]
    unwanted = "".join(f" {line}." for line in found.unwanted)
    return f"{', '.join(parts)}.{unwanted}{verified(found.trials)}"


def verified(trials: Sequence[Trial]) -> str:
    """Of how many trials `zfscale verify` found that they hold, and how exactly; "" where it has looked at none."""
    found = [trial.certificate for trial in trials if trial.certificate]
    if not found:
        return ""
    hold = [trial.certificate for trial in trials if trial.certificate and trial.verified]
    exact = {name: sum(each.get(name) is True for each in hold) for name in ("replay_exact", "rerun_exact")}
    parts = [f"{count} {name.replace('_', '-')}" for name, count in exact.items() if count]
    wrong = f"; {len(found) - len(hold)} do not hold" if len(hold) < len(found) else ""
    how = f" ({', '.join(parts)})" if parts else ""
    return f" Verified: {len(hold)} hold{how}{wrong}."


def notes(found: Contents) -> list[tuple[str, list[str]]]:
    """Headings and lines about trials of other inputs, files that are damaged or not ours, and trials found twice."""
    kinds = [
        (MIXED, found.mixed),
        (DAMAGED, [str(fault) for fault in found.faults]),
        (IGNORED, found.ignored),
        (TWICE, found.twice),
    ]
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
    """The text with words in place of the signs that the encoding does not have.

    >>> printable("1 ± 2", "ascii")
    '1 +- 2'
    """
    for sign, word in (("±", "+-"), (VERIFIED, "yes")):
        try:
            sign.encode(encoding or "utf-8")
        except UnicodeEncodeError:
            text = text.replace(sign, word)
    return text


def _aligned(sheet: Sheet) -> str:
    return aligned([[one_line(cell) for cell in line] for line in sheet.lines], sheet.words)
