"""A search for hyper-parameters must not look at the images that its result is reported on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from zfscale.errors import nearest
from zfscale.metrics.catalogue import BY_NAME, PERCENT, SEARCHED
from zfscale.spec.document import Document
from zfscale.spec.schema import SearchSpec, SweepSpec
from zfscale.spec.trial import TrialSpec
from zfscale.spec.yaml import Place

BLOCKS = ("method", "optimizer")  # whose numbers are searched for; another name is another thing, not another value


def searching(document: Document, search: SearchSpec, trials: Iterable[TrialSpec]) -> dict[Place, str]:
    """What is wrong with a file that says how to `search`, if its trials are compared on test images.

    It searches if trials that train differ in numbers of the method or the optimizer and in nothing else; where
    `search.space` says what is searched for, only in these. A file without `search` may vary numbers as it likes, to
    show what they do. Domains have no split for it.
    """
    if not document.data.get("search"):
        return {}
    groups: dict[str, dict[str, Any]] = {}
    for trial in trials:
        if trial.stream.protocol == "class_incremental" and trial.stream.validation is None and trial.trains:
            rest, numbers = _apart(trial, search.searched)
            first = groups.setdefault(repr(rest), numbers)
            if varied := [path for path in numbers if numbers[path] != first.get(path)]:
                message = f"values of {varied[0]} would be compared on the test images; hold out training images, "
                return {("search",): f"{message}such as stream.validation: 0.2, or leave `search` out"}
    return {}


def unmeasured(document: Document, search: SearchSpec, trials: Collection[TrialSpec]) -> dict[Place, str]:
    """What is wrong with a `search.metric` that the file names, or a metric of `until`, that no trial of it will have.

    Nor is a bound above 1 one of a share: it is meant as a percentage, which all would reach, or none.
    """
    kinds = {trial.stream.protocol for trial in trials}
    named: dict[Place, str] = {("search", "metric"): search.metric} if document.has(("search", "metric")) else {}
    named |= {("search", "until", metric): metric for metric in search.until}
    found: dict[Place, str] = {}
    for place, metric in named.items():
        columns = [column for column in BY_NAME[metric].columns if column.kind in kinds]
        bound = search.until.get(metric, 0.0) if place[1] == "until" else 0.0
        if not columns:
            measured = [name for name in SEARCHED if kinds & {column.kind for column in BY_NAME[name].columns}]
            where = " or ".join(sorted(kinds))
            found[place] = f"{metric} is not measured on {where} streams; {nearest(metric, measured)}"
        elif bound > 1 and all(column.factor == PERCENT for column in columns):
            found[place] = f"{metric} is a share, at most 1, which reports show in %; got {bound:g}"
    return found


def unhalting(spec: SweepSpec, trials: Collection[TrialSpec]) -> dict[Place, str]:
    """What is wrong with reports inside stages: where they cannot be made, or not be taken up again."""
    if not spec.search.scheduler.every:
        return {}
    why = "only after each stage, with every: 0"
    place: Place = ("search", "scheduler")
    if spec.resources.workers > 1:
        return {place: f"every: a trial of {spec.resources.workers} workers can be stopped {why}"}
    if any(trial.hybrid for trial in trials):
        return {place: f"every: a trial with optimizer.first_order can be stopped {why}"}
    return {}


def _apart(trial: TrialSpec, searched: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """All of a trial but the numbers of BLOCKS, or those of them that are `searched`, and these by dotted path."""
    rest, numbers = trial.model_dump(exclude=set(BLOCKS)), dict[str, Any]()
    for block in BLOCKS:
        for path, value in _leaves(getattr(trial, block).model_dump(), block):
            number = path in searched if searched else isinstance(value, (int, float))
            (numbers if number else rest)[path] = value
    return rest, numbers


def _leaves(values: dict[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}", value
