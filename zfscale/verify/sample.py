"""Steps that are measured again: the weights before the step, its batch, its directions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from zfscale.results.layout import LEDGER, STEPS
from zfscale.spec import TrialSpec
from zfscale.trial.again import Measured, Taken
from zfscale.verify.checked import Losses
from zfscale.verify.finding import Finding, told
from zfscale.verify.machine import HALF, Machine

NEAR = 1e-5  # of a loss in float32, relative to it or to 1: another order of the sums


def chosen(past: Sequence[Taken], count: int) -> list[int]:
    """Numbers of `count` forward-only steps of a trial, spread evenly from the first to the last."""
    forward_only = [number for number, (_, entry) in enumerate(past) if entry.seeds]
    count = min(count, len(forward_only))
    places = {round(i * (len(forward_only) - 1) / max(count - 1, 1)) for i in range(count)}
    return [forward_only[place] for place in sorted(places)]


def tolerance(machine: Machine, low: bool, ranks: bool) -> float:
    """How far a loss may be from its record: on the same kind of machine, not at all, unless ranks shared it."""
    return 0.0 if machine.same and not ranks else HALF if low else NEAR


def compared(spec: TrialSpec, measures: Sequence[Measured], near: float) -> tuple[Losses, list[Finding]]:
    """How many agree to the bit, and those that are farther from their record than a loss may be.

    A coefficient is a difference of losses over eps, so that it may be as far as a loss over eps; in a fork, over the
    smallest of those whose steps it has.
    """
    found, findings, eps = Losses(tolerance=near), list[Finding](), min(_eps(one) for _, one in spec.lineage)
    for one in measures:
        found.sampled += 1
        then, now = (one.then.loss, *one.then.coefficients), (one.now.loss, *one.now.coefficients)
        if all(map(_equal, then, now)) and (one.then.accepted == one.now.accepted):
            found.exact += 1
            continue
        if math.isfinite(one.then.loss) and math.isfinite(one.now.loss):
            found.largest = max(found.largest, abs(one.then.loss - one.now.loss))
        findings += _apart(one, near, eps)
    return found, findings


def _apart(one: Measured, near: float, eps: float) -> Iterator[Finding]:
    """What of a step is too far from its record."""
    room, place = near * max(1.0, abs(one.then.loss)), f"task {one.task}, step {one.step}"
    if not _near(one.then.loss, one.now.loss, room):
        yield Finding(STEPS, f"{place}, loss", told(one.then.loss, one.now.loss))
    for i, (then, now) in enumerate(zip(one.then.coefficients, one.now.coefficients, strict=True)):
        if not _near(then, now, room / eps):
            yield Finding(LEDGER, f"{place}, query {i}, coefficient", told(then, now))
    if not near and one.then.accepted != one.now.accepted:
        yield Finding(LEDGER, f"{place}, accepted", told(one.then.accepted, one.now.accepted))


def _eps(spec: TrialSpec) -> float:
    """What differences of losses are divided by; 1 for an estimate that takes none."""
    filled: Any = spec.optimizer.filled()
    return float(filled.eps) if "eps" in spec.optimizing.estimator.arguments else 1.0


def _equal(then: float, now: float) -> bool:
    return then == now or (math.isnan(then) and math.isnan(now))


def _near(then: float, now: float, room: float) -> bool:
    return _equal(then, now) or abs(then - now) <= room
