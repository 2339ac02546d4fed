"""Every trial of a report, column by column, so that ten thousand of them make a small page."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from zfscale.metrics.catalogue import CLASSES
from zfscale.report.gathered import Gathered
from zfscale.report.kinds import MEASURES
from zfscale.report.load import Trial
from zfscale.report.page.recorded import curves, losses, matrices, short
from zfscale.report.rows import Row
from zfscale.results.redact import redact

# Trials whose matrices, training losses and whole certificates are in the page: so it stays small, and is soon made.
DRAWN = 1000
WHOLE, ERROR, REST = 200, 6000, 300  # so many different errors with so many letters, from their ends; the others with
WEB = ("https://", "http://")  # what a link may open
CERTIFIED = ("holds", "replay_exact", "rerun_exact", "at")  # of a certificate that is not in the page as a whole


def columns(report: Gathered, first: Sequence[Row]) -> dict[str, Any]:
    """Of every trial, in order: settings, measures and curves; of those of the `first` rows, or DRAWN, the rest."""
    trials, pool = report.contents.trials, report.pool
    ids = [trial.trial_id for trial in trials]
    drawn = _drawn(ids, first)
    numbers = {place: i for i, place in enumerate(pool.places)}
    leaves = varying_leaves(trials)
    return {
        "ids": ids,
        "sweep": [numbers[pool.of[trial_id]] for trial_id in ids],
        "status": coded(trial.status.value for trial in trials),
        "kind": coded(trial.kind for trial in trials),
        "optimizer": coded(trial.trained_by for trial in trials),
        "leaves": {leaf: coded(trial.spec.get(leaf) for trial in trials) for leaf in leaves},
        "same": {leaf: plain(value) for leaf, value in _common(trials).items() if leaf not in leaves},
        "measures": _measures(trials),
        "ends": {i: trial.stopped_at for i, trial in enumerate(trials) if trial.stopped_at is not None},
        "urls": {i: trial.url for i, trial in enumerate(trials) if trial.url and trial.url.startswith(WEB)},
        "errors": _errors(trials),
        "certificates": _certificates(trials, set(drawn)),
        "curves": _of(pool.read(curves, ids), ids),
        "matrices": _of(pool.read(matrices, drawn), ids),
        "losses": _of(pool.read(losses, drawn), ids),
        "drawn": len(drawn),
    }


def varying_leaves(trials: Sequence[Trial]) -> list[str]:
    """The leaves that do not have the same value in all trials, names first."""
    leaves = dict.fromkeys(leaf for trial in trials for leaf in trial.spec)
    found = [leaf for leaf in leaves if len({_key(trial.spec.get(leaf)) for trial in trials}) > 1]
    names = ("method.name", "optimizer.name")
    return sorted(found, key=lambda leaf: (leaf not in names, leaf))


def coded(values: Iterable[Any]) -> dict[str, list[Any]]:
    """The different values, and of each trial the number of its own.

    >>> coded(["a", "b", "a"])
    {'values': ['a', 'b'], 'codes': [0, 1, 0]}
    """
    places: dict[Any, int] = {}
    different: list[Any] = []
    codes = []
    for value in values:
        if (key := _key(value)) not in places:
            places[key] = len(places)
            different.append(plain(value))
        codes.append(places[key])
    return {"values": different, "codes": codes}


def matrices_of(kind: str) -> dict[str, Any]:
    """How the curves and matrices of a kind of stream are shown."""
    if kind == CLASSES:
        return {"what": "accuracy", "unit": "%", "factor": 100, "decimals": 1, "better": "max"}
    return {"what": "loss", "unit": "", "factor": 1, "decimals": 3, "better": "min"}


def _key(value: Any) -> Any:
    return (type(value).__name__, value)  # True is not 1, nor is 1.0


def plain(value: Any) -> Any:
    """A value for JSON, which has neither NaN nor infinities: these as text.

    >>> plain({"a": [1, float("inf")]})
    {'a': [1, 'inf']}
    """
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _common(trials: Sequence[Trial]) -> dict[str, Any]:
    return trials[0].spec if trials else {}


def _errors(trials: Sequence[Trial]) -> dict[str, list[Any]]:
    """Tracebacks, without secrets; where there are very many different ones, their last lines."""
    found = coded(redact(trial.error) if trial.error else None for trial in trials)
    values = enumerate(found["values"])
    return {**found, "values": [text and text[-(ERROR if i <= WHOLE else REST) :] for i, text in values]}


def _certificates(trials: Sequence[Trial], whole: Collection[str]) -> dict[int, Any]:
    """By the number of the trial, what `zfscale verify` has found of it."""
    found = {}
    for i, trial in enumerate(trials):
        if (known := trial.certificate) is not None:
            part = known if trial.trial_id in whole else {key: known.get(key) for key in CERTIFIED}
            found[i] = plain(part)
    return found


def _measures(trials: Sequence[Trial]) -> dict[str, list[float | None]]:
    """Measure -> its values, of the measures that any trial has."""
    found = {name: [trial.measures.get(name) for trial in trials] for name in MEASURES}
    return {
        name: [None if value is None else short(value, 7) for value in values]
        for name, values in found.items()
        if any(value is not None for value in values)
    }


def _drawn(ids: Sequence[str], first: Sequence[Row]) -> list[str]:
    best = [trial_id for row in first for trial_id in row.trial_ids]
    return list(dict.fromkeys([*best, *ids]))[:DRAWN]


def _of(found: Mapping[str, Any], ids: Sequence[str]) -> dict[int, Any]:
    """By the number of the trial."""
    return {i: found[trial_id] for i, trial_id in enumerate(ids) if trial_id in found}
