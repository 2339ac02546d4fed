"""What a file must say so that `zfscale tune` searches fairly, where it gives a `search.budget`.

Every optimizer has values to choose from, on held-out training images, with seeds that no reported trial has.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import ValidationError

from zfscale.errors import nearest
from zfscale.metrics.catalogue import CLASSES, columns
from zfscale.spec.distributions import LAST, Choice, Distribution, Grid
from zfscale.spec.document import Document
from zfscale.spec.names import Finding
from zfscale.spec.owners import setting, unused
from zfscale.spec.problems import explain
from zfscale.spec.schema import METRICS, SearchSpec
from zfscale.spec.searching import BLOCKS
from zfscale.spec.trial import TrialSpec
from zfscale.spec.yaml import Place

PATTERNS = "such as {fo-*: {optimizer.lr: {grid: [...]}}}"


def unfair(document: Document, search: SearchSpec, trials: Collection[TrialSpec]) -> dict[Place, str]:
    """Where the file says what is to be tuned -> what is wrong with it."""
    if search.each is None:
        idle = [key for key in ("seeds", "space") if getattr(search, key)]
        return {("search", key): "means something to `zfscale tune` alone, which needs search.budget" for key in idle}
    training = [trial for trial in trials if trial.trains]
    if any(trial.stream.protocol != "class_incremental" for trial in training):
        return {
            ("search", "budget"): "a search needs held-out training images, which only class_incremental streams have"
        }
    found: dict[Place, str] = {}
    if search.metric not in (measured := columns(CLASSES)):
        allowed = nearest(search.metric, set(METRICS) & measured.keys())
        found["search", "metric"] = f"{search.metric} is not measured on class_incremental streams; {allowed}"
    vain = () if document.overridden else _unmatched(search, training)
    for place, message in (*_seeds(search, trials), *_space(search, training), *vain):
        found.setdefault(("search", *place), message)
    return found


def _seeds(search: SearchSpec, trials: Collection[TrialSpec]) -> Iterator[Finding]:
    if not search.seeds:
        yield ("seeds",), "missing; a search needs seeds of its own, such as [100, 101]"
    seeds = {trial.seed for trial in trials}
    orders = {trial.stream.class_order_seed for trial in trials if trial.stream.class_order is None}
    for i, seed in enumerate(search.seeds):
        for used, what in ((seeds, "seed"), (orders, "stream.class_order_seed")):
            if seed in used:
                yield ("seeds", i), f"{seed} is a {what} of trials that this file reports; expected any other"
    for seed, count in Counter(search.seeds).items():
        if count > 1:
            yield ("seeds",), f"{seed} is listed {count} times; expected every seed once"


def _space(search: SearchSpec, training: Collection[TrialSpec]) -> Iterator[Finding]:
    if not search.space:
        yield ("space",), f"missing; expected what is searched for, {PATTERNS}"
        return
    for trial in {(t.method.name, t.optimizer.name): t for t in training}.values():
        pattern = search.pattern(trial.optimizer.name)
        if pattern is None:
            yield ("space",), f"no values for {trial.optimizer.name}; expected a pattern that fits it, {PATTERNS}"
            continue
        for path, values in search.space[pattern].items():
            for message in _misfit(trial, path, values):
                yield ("space", pattern, path), message


def _unmatched(search: SearchSpec, training: Collection[TrialSpec]) -> Iterator[Finding]:
    names = {trial.optimizer.name for trial in training}
    for pattern in search.space.keys() - {search.pattern(name) for name in names}:
        yield ("space", pattern), f"fits no optimizer of this file, or a longer pattern does; {nearest(pattern, names)}"


def _misfit(trial: TrialSpec, path: str, values: Distribution) -> Iterator[str]:
    """Why values that are to be tried are none of a trial's."""
    block, _, option = path.partition(".")
    if block not in BLOCKS or option in ("", "name"):
        yield f"expected an option of {' or '.join(BLOCKS)}, such as optimizer.lr"
        return
    ends = next(iter(values.model_dump().values())) if isinstance(values, (Grid, Choice)) else ()
    why = unused(setting(vars(trial))).get(f"{block}.{option.partition('.')[0]}")
    for value in ends or (values.draw(0), values.draw(LAST)):
        if why is not None:
            yield why.says(value)
        try:
            if not replaced(trial, {path: value}).trains:
                yield f"{value}: nothing would be trained; expected other values"
        except ValidationError as error:
            yield from explain(TrialSpec, error).values()


def replaced(trial: TrialSpec, values: dict[str, Any]) -> TrialSpec:
    """The trial with values at dotted paths. Errors: pydantic's, if they are not allowed there."""
    data = trial.model_dump()
    for path, value in values.items():
        *blocks, key = path.split(".")
        tree = data
        for block in blocks:
            inner = dict(tree.get(block) or {})
            tree[block] = inner
            tree = inner
        tree[key] = value
    return TrialSpec.model_validate_json(json.dumps(data))
