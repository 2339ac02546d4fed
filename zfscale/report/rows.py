"""Finished trials, grouped over runs: one row per method, optimizer and other setting that varies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zfscale.methods.catalogue import METHODS
from zfscale.metrics.catalogue import BY_NAME
from zfscale.records import Status
from zfscale.report.kinds import CLASSES, EPOCHS, MEASURES, SEARCHED, Kind
from zfscale.report.load import NO_OPTIMIZER, UNTRAINED, Run, Trial
from zfscale.report.paired import Stat, stat
from zfscale.spec.fork import DRAWN
from zfscale.spec.trial import RUN as RUN_LEAVES
from zfscale.zo.catalogue import OPTIMIZERS

NAMES = ("method.name", "optimizer.name", "seed")
CONTROLS = (NO_OPTIMIZER, UNTRAINED)
OPTIMIZING, TRAINING, METHOD = "optimizer.", "train.", "method."  # the leaves of these blocks
MOST = 12  # places that pictures show


@dataclass(frozen=True)
class Row:
    """The trials that differ by what is drawn alone: the seed and, of classes, their order."""

    method: str
    optimizer: str  # or one of CONTROLS
    settings: dict[str, Any]  # the other leaves that vary
    trials: Mapping[Run, Trial]
    stats: Mapping[str, Stat]  # by name in MEASURES, or of what is derived from the controls
    domains: tuple[str, ...] = field(default=())  # in order of arrival

    @property
    def trial_ids(self) -> tuple[str, ...]:
        """The ids of its trials."""
        return tuple(trial.trial_id for trial in self.trials.values())

    def values(self, measure: str) -> dict[Run, float | None]:
        """A measure by run."""
        return {run: trial.measures[measure] for run, trial in self.trials.items()}

    @property
    def place(self) -> tuple[tuple[str, Any], ...]:
        """The settings of the model and the stream: rows of other places are not drawn together."""
        elsewhere = (METHOD, OPTIMIZING, TRAINING)
        return tuple((k, v) for k, v in self.settings.items() if not k.startswith(elsewhere))

    def scene(self, *apart: str) -> tuple[Any, ...]:
        """What two rows must share to be compared: the method, and the settings that are not in the blocks `apart`."""
        return (self.method, *((k, v) for k, v in self.settings.items() if not k.startswith(apart)))


def rows(trials: Sequence[Trial]) -> list[Row]:
    """One row per setting, methods and optimizers in the paper's order, controls first, then by setting."""
    finished = [trial for trial in trials if trial.status is Status.FINISHED]
    leaves = varying(finished)
    groups: dict[tuple[Any, ...], list[Trial]] = {}
    for trial in finished:
        key = (trial.method, trial.trained_by, *(_leaf(trial, leaf) for leaf in leaves))
        groups.setdefault(key, []).append(trial)
    return [_row(key, leaves, groups[key]) for key in sorted(groups, key=_order)]


def varying(trials: Sequence[Trial]) -> list[str]:
    """The leaves, besides names and what is drawn, that tell rows apart.

    A leaf that method and optimizer decide between them says nothing new and is left out; `optimizer.lr` is
    shown all the same. Controls have no optimizer.
    """
    drawn = {*NAMES, *DRAWN, *(RUN_LEAVES if any(trial.kind == CLASSES.name for trial in trials) else ())}
    leaves = sorted({leaf for trial in trials for leaf in trial.spec} - drawn)
    values: dict[str, dict[tuple[str, str], set[Any]]] = {leaf: {} for leaf in leaves}
    names: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        names.setdefault((trial.method, trial.trained_by), []).append(trial)
    for name, group in names.items():
        for leaf in leaves:
            idle = _idle(group[0], leaf)
            values[leaf][name] = {None} if idle else {trial.spec.get(leaf) for trial in group}
    told = [leaf for leaf, by_name in values.items() if any(len(found) > 1 for found in by_name.values())]
    rates = len(set().union(*values.get("optimizer.lr", {}).values()) - {None}) > 1
    return sorted({*told, *(["optimizer.lr"] if rates else [])})


def best(table: Sequence[Row], kind: Kind) -> list[Row]:
    """Of each method and optimizer in a place, the row whose mean of the kind's first measure is best.

    Of the first MOST places only: each has a panel of its own in a picture.
    """
    places = list(dict.fromkeys(row.place for row in table))[:MOST]
    top: dict[tuple[Any, ...], Row] = {}
    for row in table:
        if row.place not in places:
            continue
        key = (row.method, row.optimizer, row.place)
        if rank(row, kind.first) < rank(top.setdefault(key, row), kind.first):
            top[key] = row
    return list(top.values())


def rank(row: Row, measure: str) -> float:
    """What the best row has least of; infinity where there is no number."""
    mean = row.stats[measure].mean
    if mean is None or math.isnan(mean):
        return math.inf
    return -mean if BY_NAME[measure].better == "max" else mean


def place_text(place: Sequence[tuple[str, Any]]) -> str:
    """Settings by the last part of their path; those that are not set are left out."""
    return ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in place if value is not None)


def _leaf(trial: Trial, leaf: str) -> Any:
    """What a trial has at a leaf; of a control, neither options of its optimizer nor epochs."""
    return None if _idle(trial, leaf) else trial.spec.get(leaf)


def _idle(trial: Trial, leaf: str) -> bool:
    return trial.trained_by in CONTROLS and (leaf.startswith(OPTIMIZING) or leaf == EPOCHS)


def _row(key: tuple[Any, ...], leaves: Sequence[str], group: Sequence[Trial]) -> Row:
    """Of trials of one run, which only controls have (one an optimizer, before they were run once), the first."""
    trials: dict[Run, Trial] = {}
    for trial in sorted(group, key=lambda trial: (_place(trial.optimizer, tuple(OPTIMIZERS)), trial.trial_id)):
        trials.setdefault(trial.run, trial)
    stats = {name: stat([trial.measures.get(name) for trial in trials.values()]) for name in (*MEASURES, SEARCHED)}
    return Row(key[0], key[1], dict(zip(leaves, key[2:], strict=True)), trials, stats, group[0].domains)


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    method, optimizer, *settings = key
    place = (_place(method, tuple(METHODS)), _place(optimizer, (*CONTROLS, *OPTIMIZERS)))
    return (*place, *((type(value).__name__, 0 if value is None else value) for value in settings))


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)
