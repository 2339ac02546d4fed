"""How a sweep stands, from its results directory alone, while it runs or after. Light: no torch, no Ray."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from zfscale.errors import ZfscaleError
from zfscale.records import Status
from zfscale.results.causes import Cause, causes
from zfscale.results.check import first, look
from zfscale.results.forecast import Eta, Forecast, Going
from zfscale.results.layout import ATTEMPTS, TRIALS
from zfscale.results.lock import Holder, holder
from zfscale.results.packed import known as written
from zfscale.results.plan import UNKNOWN, Plan, label, read
from zfscale.results.storage import Place, Storage, storage
from zfscale.results.workers import Word, words
from zfscale.spec import TrialSpec

SLOWEST = 5
RECENT = 600.0  # seconds over which the present speed is taken
COLUMNS = ("status", "error", "seconds", "forwards", "node", "spec", "attempts")


class NoResults(ZfscaleError):
    """A directory that holds no sweep's results."""


@dataclass(frozen=True)
class Standing:
    """What the results say at one moment.

    Args:
        name: The sweep's.
        rows: Those of `trials`, of the trials that ended.
        plan: What the last run was to run; None where an earlier version wrote the results.
        holder: The run that writes here now, as far as can be seen.
        running: What its workers say of the trials they run; of the first seconds of a trial, only when it began.
        interrupted: Ids of trials that an earlier run started, and that have no row.
        ended: Trial id -> when its row was written, in seconds since 1970.
        damaged: Files that make their trials damaged.
        now: When this was, likewise.
    """

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    plan: Plan | None = None
    holder: Holder | None = None
    running: list[Word] = field(default_factory=list)
    interrupted: frozenset[str] = frozenset()
    ended: Mapping[str, float] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    now: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether a run goes on."""
        return self.holder is not None and self.holder.alive

    @cached_property
    def asked(self) -> list[dict[str, Any]]:
        """The rows of the trials that the last run was asked for; all, where this is not known."""
        return [row for row in self.rows if self.plan is None or row["trial_id"] in self.plan.trials]

    @property
    def total(self) -> int | None:
        """How many trials the sweep has in all."""
        return None if self.plan is None else len(self.plan.trials)

    @cached_property
    def counts(self) -> dict[str, int | None]:
        """How many trials ended, by status; run; were interrupted and not resumed yet; wait for their first start.

        Those that wait where no more are wanted (`Plan.over`) are `unwanted`, the interrupted ones, too.
        """
        found = Counter(row["status"] for row in self.asked)
        counts: dict[str, int | None] = {status.value: found[status.value] for status in Status}
        running = {word.trial_id for word in self.running}
        if self.plan is None:
            return counts | {
                "running": len(running),
                "interrupted": len(self.interrupted),
                "waiting": None,
                "unwanted": 0,
            }
        left = set(self.plan.trials) - {row["trial_id"] for row in self.asked} - running
        unwanted = left if self.plan.over and not self.alive else set[str]()
        interrupted = (left - unwanted) & self.interrupted
        waiting = left - unwanted - interrupted
        counts |= {"running": len(running), "interrupted": len(interrupted), "waiting": len(waiting)}
        return counts | {"unwanted": len(unwanted)}

    @cached_property
    def causes(self) -> list[Cause]:
        """Why trials failed."""
        return causes((row["trial_id"], row["error"]) for row in self.asked if row["status"] == Status.FAILED)

    @property
    def wall(self) -> float:
        """Seconds of the run so far."""
        return max(self.now - self.plan.started, 1.0) if self.alive and self.plan else 0.0

    @cached_property
    def recent(self) -> list[dict[str, Any]]:
        """Rows that this run has written."""
        since = self.now - self.wall
        return [row for row in self.asked if self.wall and self.ended.get(row["trial_id"], 0.0) >= since]

    @cached_property
    def per_minute(self) -> float | None:
        """Trials that ended a minute, over the last minutes of a run that goes on."""
        span = min(self.wall, RECENT)
        count = sum(self.ended[row["trial_id"]] >= self.now - span for row in self.recent)
        return 60 * count / span if span else None

    @cached_property
    def eta(self) -> Eta | None:
        """When the run that goes on will have ended."""
        if self.plan is None or not self.alive:
            return None
        forecast, recent = Forecast(self.plan.trials), {row["trial_id"] for row in self.recent}
        for row in self.asked:
            whole = row if row["status"] == Status.FINISHED else {}
            forecast.end(row["trial_id"], whole.get("seconds"), whole.get("forwards"), row["trial_id"] in recent)
        going = [Going(word.trial_id, word.forwards, word.price, word.elapsed) for word in self.running]
        return forecast.eta(going, len(going), self.wall) if going else None

    @property
    def slowest(self) -> list[dict[str, Any]]:
        """The finished trials that took longest."""
        timed = [row for row in self.asked if row["status"] == Status.FINISHED and row["seconds"] is not None]
        return sorted(timed, key=lambda row: (-row["seconds"], row["trial_id"]))[:SLOWEST]

    @property
    def nodes(self) -> dict[str, dict[str, int]]:
        """Node -> how many trials it runs, and how many ended there, by status."""
        found: dict[str, Counter[str]] = {}
        for word in self.running:
            found.setdefault(word.node, Counter())["running"] += 1
        for row in self.asked:
            found.setdefault(row["node"] or "", Counter())[row["status"]] += 1
        return {node: dict(found[node]) for node in sorted(found) if node}

    def as_json(self) -> str:
        """All of it as one JSON object."""
        eta = self.eta
        about = {
            "name": self.name,
            "alive": self.alive,
            "run": None if self.holder is None else self.holder._asdict(),
            "total": self.total,
            **self.counts,
            "other_rows": len(self.rows) - len(self.asked),
            "damaged": self.damaged,
            "per_minute": self.per_minute,
            "eta": None if eta is None else eta._asdict(),
            "workers": [asdict(word) | {"of_forwards": self.forwards(word.trial_id)} for word in self.running],
            "causes": [cause._asdict() for cause in self.causes],
            "slowest": [{key: row[key] for key in ("trial_id", "seconds", "node")} for row in self.slowest],
            "nodes": self.nodes,
        }
        return json.dumps(about, indent=2)

    def forwards(self, trial_id: str) -> float | None:
        """How many a trial is expected to make in all."""
        one = None if self.plan is None else self.plan.trials.get(trial_id)
        return one and one.forwards


def standing(directory: Place, only: Collection[str] | None = None) -> Standing:
    """How the sweep stands whose results these are; of `only` some trials, where others do not matter.

    Raises:
        NoResults: There are none.
    """
    there, now = results_of(directory), time.time()
    plan, held = read(there), holder(there)
    found = look(there, COLUMNS, only, all_tables=False)
    ended = {row["trial_id"] for row in found.rows}
    alive = held is not None and held.alive
    known = times(there, ATTEMPTS)
    begun = {name: known.get(name, 0.0) for name in ids(there, ATTEMPTS) if name not in ended}
    running = _running(there, held.run, plan, begun) if alive and held else []
    interrupted = frozenset(begun) - {word.trial_id for word in running}
    faults = [str(fault) for fault in found.faults]
    return Standing(there.name, found.rows, plan, held, running, interrupted, written(there), faults, now)


def _running(there: Storage, run: str, plan: Plan | None, begun: Mapping[str, float]) -> list[Word]:
    """Trials that this run has begun and that have no row, with the last word of their workers."""
    said = {word.trial_id: word for word in words(there, run)}
    mine = {name: at for name, at in begun.items() if name in said or (plan is not None and at >= plan.started)}
    order = sorted(mine, key=lambda name: (mine[name], name))
    return [said.get(name, Word(name, "-", started=mine[name], said=mine[name])) for name in order]


def ids(there: Storage, folder: str) -> set[str]:
    """Ids of the trials that have a file in a folder."""
    return {name.rpartition("/")[2].partition(".")[0] for name in there.names(folder)}


def times(there: Storage, folder: str) -> dict[str, float]:
    """Trial id -> when its file in a folder was written."""
    return {name.rpartition("/")[2].partition(".")[0]: at for name, at in there.times(folder).items()}


def results_of(directory: Place) -> Storage:
    """The results in a directory or behind a URL.

    Raises:
        NoResults: It holds none, such as one that is not there.
    """
    there = storage(directory)
    if not there.names(TRIALS) and not there.names(ATTEMPTS) and read(there) is None:
        raise NoResults(f"{there}: no results of a sweep; expected a directory such as results/vit_classil")
    return there


def one(there: Storage, trial: str) -> str:
    """The id of the trial whose id is this, or begins so. Errors: ZfscaleError, if there is none, or more than one."""
    plan = read(there)
    known = {*written(there), *ids(there, ATTEMPTS), *(plan.trials if plan else ())}
    found = sorted(name for name in known if name.startswith(trial) and not name.startswith(UNKNOWN))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ZfscaleError(f"{trial}: no such trial in {there}; expected an id such as `zfscale status` prints")
    raise ZfscaleError(f"{trial}: {len(found)} trials have ids that begin so: {', '.join(first(found))}")


def named(row: dict[str, Any]) -> str:
    """The trial of a row in a few words."""
    try:
        return label(TrialSpec.from_json(row["spec"]))
    except ValueError:  # of another version
        return "-"
