"""`zfscale status`: how a sweep stands, on a screen."""

from __future__ import annotations

import time

from zfscale.records import Status
from zfscale.results.causes import Cause
from zfscale.results.forecast import clock
from zfscale.results.workers import Word
from zfscale.text_table import Cells, aligned
from zfscale.watch.standing import Standing, named

SHOWN = 20  # running trials, causes and nodes that are listed


def shown(now: Standing) -> str:
    """All that is known of a sweep, but for what has no entry."""
    parts = [_counts(now), _run(now), _others(now)]
    if now.alive:
        parts.append(_speed(now))
    tables = [("running", _running(now)), ("slowest", _slowest(now)), ("nodes", _nodes(now))]
    sections = ["\n".join(part for part in parts if part)]
    if now.causes:
        sections.append(failures(now.causes))
    sections += [f"{title}\n{aligned(cells, left)}" for title, (cells, left) in tables if len(cells) > 1]
    return "".join(c if c.isprintable() or c == "\n" else " " for c in "\n\n".join(sections))


def failures(causes: list[Cause]) -> str:
    """Failed trials by cause: how many, why, and one of them."""
    failed = sum(len(cause.trials) for cause in causes)
    lines = [f"{failed} failed trial{'s' * (failed != 1)} by cause"]
    for cause in causes[:SHOWN]:
        lines += [f"  {len(cause.trials):>5}  {cause.name}", f"         such as {cause.trials[0]}: {cause.example}"]
    return "\n".join([*lines, *_more(len(causes), "causes")])


def _counts(now: Standing) -> str:
    counts = now.counts
    ended = sum(counts[status.value] or 0 for status in Status)
    of = "" if now.total is None else f" of {now.total}"
    parts = [f"{ended}{of} trials ended"]
    parts += [f"{counts[status.value]} {status.value}" for status in Status]
    parts += [f"{counts['running']} running"] if now.alive else []
    parts += [f"{counts[what]} {what}" for what in ("interrupted", "waiting") if counts[what]]
    parts += [f"{counts['unwanted']} not run, since {now.plan.over}"] if now.plan and counts["unwanted"] else []
    return f"{now.name}: {', '.join(parts)}"


def _run(now: Standing) -> str:
    since = "" if now.plan is None else f", since {_date(now.plan.started)}"
    if now.holder is None:
        last = "" if now.plan is None else f"; the last run began {_date(now.plan.started)} on {now.plan.host}"
        return f"no run writes here{last}"
    if not now.alive:
        return (
            f"no sign of the run on {now.holder.host} for {clock(now.holder.silent)}: it was killed, or its host lost"
        )
    return f"run: on {now.holder.host}{since}; its last sign of life was {clock(now.holder.silent)} ago"


def _others(now: Standing) -> str:
    notes = []
    if now.plan is None:
        notes.append("how many trials there are in all is not known: an earlier version wrote these results")
    if len(now.rows) > len(now.asked):
        notes.append(f"{len(now.rows) - len(now.asked)} more trials are here that the last run did not ask for")
    if now.damaged:
        notes.append(f"{len(now.damaged)} damaged, such as {now.damaged[0]}")
    return "\n".join(notes)


def _speed(now: Standing) -> str:
    speed = f"{now.per_minute:.3g} trials a minute" if now.per_minute else "no trial has ended in the last minutes"
    return f"{speed}; ETA {now.eta or 'not known yet'}"


def _running(now: Standing) -> tuple[Cells, int]:
    header = ["trial", "what", "node", "task", "step", "forwards", "loss", "elapsed", "last word"]
    lines = [_word(now, word) for word in now.running[:SHOWN]]
    more = _more(len(now.running), "of them")
    return [header, *lines, *([[*more, *[""] * 8]] if more else [])], 3


def _word(now: Standing, word: Word) -> list[str]:
    known = now.forwards(word.trial_id)
    forwards = f"{word.forwards}/{known:.0f}" if known else str(word.forwards)
    place = [str(word.task), str(word.step)] if word.task else [f"stage {word.stage}" if word.stage else "-", "-"]
    loss = "-" if word.loss is None else f"{word.loss:.4g}"
    elapsed, said = clock(now.now - word.started), f"{clock(max(now.now - word.said, 0.0))} ago"
    return [word.trial_id, word.label, word.node, *place, forwards, loss, elapsed, said]


def _slowest(now: Standing) -> tuple[Cells, int]:
    lines = [[row["trial_id"], named(row), row["node"] or "-", clock(row["seconds"])] for row in now.slowest]
    return [["trial", "what", "node", "took"], *lines], 3


def _nodes(now: Standing) -> tuple[Cells, int]:
    kinds = ["running", *(status.value for status in Status)]
    lines = [[node, *(str(counts.get(kind, 0)) for kind in kinds)] for node, counts in now.nodes.items()]
    more = _more(len(lines), "nodes")
    return [["node", *kinds], *lines[:SHOWN], *([[*more, *[""] * len(kinds)]] if more else [])], 1


def _more(count: int, what: str) -> list[str]:
    return [f"and {count - SHOWN} more {what}"] if count > SHOWN else []


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
