"""Finished trials, grouped over seeds: one row per method, optimizer and other setting that varies."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zfscale.methods.catalogue import METHODS
from zfscale.metrics.catalogue import BY_NAME
from zfscale.records import Status
from zfscale.report.kinds import MEASURES, Kind
from zfscale.report.load import Trial
from zfscale.zo.catalogue import OPTIMIZERS

NAMES = ("method.name", "optimizer.name", "seed")


@dataclass(frozen=True)
class Stat:
    """Mean and sample standard deviation (n - 1) over seeds; None where there is nothing to take it of."""

    mean: float | None
    std: float | None


@dataclass(frozen=True)
class Row:
    """The trials that differ by seed alone."""

    method: str
    optimizer: str
    settings: dict[str, Any]  # the other leaves that vary
    trial_ids: tuple[str, ...]
    stats: dict[str, Stat]  # by name in MEASURES
    domains: tuple[str, ...] = ()  # in order of arrival


def rows(trials: Sequence[Trial]) -> list[Row]:
    """One row per setting, methods and optimizers in the paper's order, then by setting."""
    finished = [trial for trial in trials if trial.status is Status.FINISHED]
    leaves = varying(finished)
    groups: dict[tuple[Any, ...], list[Trial]] = {}
    for trial in finished:
        key = (trial.method, trial.optimizer, *(trial.spec.get(leaf) for leaf in leaves))
        groups.setdefault(key, []).append(trial)
    return [_row(key, leaves, groups[key]) for key in sorted(groups, key=_order)]


def varying(trials: Sequence[Trial]) -> list[str]:
    """The leaves, besides names and seed, that tell rows apart.

    A leaf that method and optimizer decide between them says nothing new and is left out; `optimizer.lr` is
    shown all the same.
    """
    values: dict[str, dict[tuple[str, str], set[Any]]] = {}
    for leaf in sorted({leaf for trial in trials for leaf in trial.spec} - set(NAMES)):
        by_name = values.setdefault(leaf, {})
        for trial in trials:
            by_name.setdefault((trial.method, trial.optimizer), set()).add(trial.spec.get(leaf))
    told = [leaf for leaf, by_name in values.items() if any(len(found) > 1 for found in by_name.values())]
    rates = len(set().union(*values.get("optimizer.lr", {}).values())) > 1
    return sorted({*told, *(["optimizer.lr"] if rates else [])})


def best(table: Sequence[Row], kind: Kind) -> list[Row]:
    """Of each method and optimizer, the row whose mean of the kind's first measure is best."""
    better = BY_NAME[kind.first].best
    top: dict[tuple[str, str], Row] = {}
    for row in table:
        kept = top.setdefault((row.method, row.optimizer), row)
        mean, other = row.stats[kind.first].mean, kept.stats[kind.first].mean
        if mean is None or math.isnan(mean):
            continue
        if other is None or math.isnan(other) or better((mean, other)) != other:
            top[row.method, row.optimizer] = row
    return list(top.values())


def stat(values: Sequence[float | None]) -> Stat:
    """Mean and std of the values that are there.

    >>> stat([1.0, 3.0]).mean, stat([1.0]).std
    (2.0, None)
    """
    known = [value for value in values if value is not None]
    mean = statistics.fmean(known) if known else None
    return Stat(mean, statistics.stdev(known) if len(known) > 1 and math.isfinite(sum(known)) else None)


def _row(key: tuple[Any, ...], leaves: Sequence[str], group: Sequence[Trial]) -> Row:
    stats = {name: stat([trial.measures[name] for trial in group]) for name in MEASURES}
    settings = dict(zip(leaves, key[2:], strict=True))
    return Row(key[0], key[1], settings, tuple(trial.trial_id for trial in group), stats, group[0].domains)


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    method, optimizer, *settings = key
    place = (_place(method, tuple(METHODS)), _place(optimizer, tuple(OPTIMIZERS)))
    return (*place, *((type(value).__name__, 0 if value is None else value) for value in settings))


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)
