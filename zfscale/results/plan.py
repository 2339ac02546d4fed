"""What a run was to run: a file in the results that says which trials there are, and what each is expected to take.

Whoever looks at a sweep from elsewhere knows from it how much is left. Results of earlier versions have none.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from zfscale.methods.catalogue import METHODS
from zfscale.results.layout import PLAN
from zfscale.results.storage import Place, storage
from zfscale.spec import TrialSpec
from zfscale.spec.kept import Kept

UNKNOWN = "?"  # begins the name of a trial that a searcher has not proposed yet
Kind = tuple[str, ...]  # trials of a kind take the same time for a forward, about


class Expected(NamedTuple):
    """What a trial is expected to take: of which kind it is, and how many training forwards it makes."""

    kind: Kind
    forwards: float


@dataclass(frozen=True)
class Plan:
    """All trials of the file that was run last.

    Args:
        trials: Trial id -> what it is expected to take.
        run: The id of the run, as in the lock.
        host: The machine that drives it.
        started: When its first trial could start, in seconds since 1970.
        unknown: Key of a cell -> the names of its trials that a searcher has not proposed yet.
        inputs: Key of a model, dataset or module -> the content hashes of its parts, as a run has read it last.
        grows: Whether trials may be added to it, or found, while the run goes on.
        over: Why no further trial of it is wanted, where not all were run; "" if they are.
    """

    trials: dict[str, Expected] = field(default_factory=dict)
    run: str = ""
    host: str = ""
    started: float = 0.0
    unknown: dict[str, list[str]] = field(default_factory=dict)
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    grows: bool = False
    over: str = ""

    @classmethod
    def of(
        cls,
        specs: Iterable[TrialSpec],
        forwards: Mapping[str, float],
        run: str,
        unknown: Mapping[str, tuple[TrialSpec, int]] | None = None,
    ) -> Plan:
        """The plan of a run that starts now.

        Args:
            specs: The trials that are known.
            forwards: Trial id -> those that it is expected to make.
            run: The id of the run.
            unknown: Key of a cell -> a trial such as a searcher will propose there, and how many more it may.
        """
        trials, kinds = {}, Kept[Kind]()
        for spec in specs:
            decide = (spec.model, spec.stream, spec.method, spec.train, spec.optimizer.name, spec.optimizer.queries)
            kind = kinds.of((*decide, spec.trains), partial(kind_of, spec))
            trials[spec.trial_id] = Expected(kind, forwards.get(spec.trial_id, 0.0))
        names = dict[str, list[str]]()
        for cell, (spec, count) in (unknown or {}).items():
            names[cell] = [f"{UNKNOWN}{cell}.{i}" for i in range(count)]
            trials |= dict.fromkeys(names[cell], Expected(kind_of(spec), forwards.get(spec.trial_id, 0.0)))
        return cls(trials, run, socket.gethostname(), time.time(), names)

    def forwards(self, trial_id: str) -> float:
        """Those that a trial is expected to make."""
        return self.trials[trial_id].forwards if trial_id in self.trials else 0.0

    def found(self, cell: str, trial_id: str | None) -> None:
        """A trial that was unknown has been proposed at a cell; or it was not needed, since it had a result."""
        names = self.unknown.get(cell)
        expected = self.trials.pop(names.pop()) if names else None
        if expected and trial_id:
            self.trials[trial_id] = expected

    def left(self, spec: TrialSpec, step: int) -> float:
        """How many steps are expected of a forward-only trial after so many."""
        shared = 0 if spec.fork is None else spec.fork.step
        return shared + self.forwards(spec.trial_id) / _a_step(spec) - step

    def add(self, spec: TrialSpec, steps: float) -> None:
        """A forward-only trial is to take so many steps of its own."""
        self.trials[spec.trial_id] = Expected(kind_of(spec), steps * _a_step(spec))

    def unwanted(self, ended: Collection[str]) -> str:
        """How many of its trials were not run, and why, where some ended and no more are wanted; else ""."""
        left = self.trials.keys() - set(ended)
        return not_run(self.over, len(left), len(self.trials))

    def write(self, root: Place) -> None:
        """Replace the plan of the results."""
        kinds = list(dict.fromkeys(one.kind for one in self.trials.values()))
        numbers = {kind: i for i, kind in enumerate(kinds)}
        trials = {trial_id: [numbers[one.kind], one.forwards] for trial_id, one in self.trials.items()}
        about = {"run": self.run, "host": self.host, "started": self.started, "inputs": self.inputs, "over": self.over}
        storage(root).write(PLAN, json.dumps(about | {"kinds": kinds, "expected": trials}).encode())


def read(root: Place) -> Plan | None:
    """The plan of the results; None where an earlier version wrote them, or where it cannot be understood."""
    try:
        found = json.loads(storage(root).read(PLAN) or b"null")
        if found is None:
            return None
        kinds = [tuple(map(str, kind)) for kind in found["kinds"]]
        trials = {str(name): Expected(kinds[kind], float(n)) for name, (kind, n) in found["expected"].items()}
        inputs = {str(key): dict(parts) for key, parts in found.get("inputs", {}).items()}
        about = str(found["run"]), str(found["host"]), float(found["started"])
        return Plan(trials, *about, inputs=inputs, over=str(found.get("over", "")))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def end(root: Place, trials: Sequence[TrialSpec], unknown: int, over: str) -> None:
    """Let a plan be that of a sweep that is to have no more results, though no run has begun since it was written.

    Args:
        root: The results; where they have no plan, none is made.
        trials: Those of the file.
        unknown: How many more a searcher has not proposed.
        over: Why some of them are not wanted; "" if all were run.
    """
    plan = read(root)
    if plan is None:
        return
    names = [f"{UNKNOWN}{i}" for i in range(unknown)]
    known = {t.trial_id: plan.trials.get(t.trial_id) or Expected(kind_of(t), 0.0) for t in trials}
    now = replace(plan, trials=known | dict.fromkeys(names, Expected((UNKNOWN,), 0.0)), over=over)
    if (now.over, len(now.trials)) != (plan.over, len(plan.trials)) or not known.keys() <= plan.trials.keys():
        with suppress(OSError):  # it is for who looks on
            now.write(root)


def not_run(over: str, count: int, of: int) -> str:
    """That so many trials of a sweep were not run, since it was over; "" of none.

    >>> not_run("search.until is reached", 2, 3)
    'search.until is reached: 2 of 3 trials were not run'
    """
    return f"{over}: {count} of {of} trials were not run" if over and count else ""


def _a_step(spec: TrialSpec) -> float:
    """The forwards that are expected of a forward-only step."""
    return sum(spec.optimizing.forwards(spec.optimizer.filled())) / 2


def label(spec: TrialSpec) -> str:
    """A trial in a few words, without its optimizer if its method is one of ours that trains nothing."""
    facts = METHODS.get(spec.method.name)  # another's module may not be here
    by = f" {spec.optimizer.name} lr {spec.optimizer.lr:g}" if facts is None or facts.trains else ""
    branch = "" if spec.fork is None else f" from {spec.fork.trial}:{spec.fork.step}"
    return f"{spec.method.name}{by} seed {spec.seed}{branch}"


def kind_of(spec: TrialSpec) -> Kind:
    """What decides the time of a forward, the most important first: seeds and rates do not, but for whether it trains.

    Kinds that share the first of these are more alike.
    """
    s, t = spec.stream, spec.train
    data = f"{s.kind} {s.dataset or ''} {s.tasks or ''}".strip()
    size = f"batch {t.batch_size} {t.precision} {t.epochs} epochs {spec.optimizer.queries} queries"
    trained = "trained" if spec.trains else "untrained"
    return (trained, spec.method.name, spec.optimizer.name, spec.model.name, data, size)
