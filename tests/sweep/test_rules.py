"""The reasons that are given for decisions are those for which Tune decides."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from zfscale.spec import SearchSpec
from zfscale.sweep.judge import Known
from zfscale.sweep.rules import STAGE, Asha, Median, measured


def search(mode: str = "max", **scheduler: Any) -> SearchSpec:
    return SearchSpec.model_validate({"mode": mode, "scheduler": scheduler})


def reports(seed: int, trials: int = 12, stages: int = 9) -> list[tuple[str, int, float]]:
    """What trials report that run beside each other: each in the order of its stages."""
    draw = np.random.default_rng(seed)
    at = dict.fromkeys(map(str, range(trials)), 0)
    found = []
    while left := [name for name, stage in at.items() if stage < stages]:
        name = str(draw.choice(left))
        at[name] += 1
        found.append((name, at[name], round(float(draw.random()), 2)))  # some are equal
    return found


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize(("grace", "reduction"), [(1, 2.0), (2, 3.0), (1, 1.5), (3, 4.0)])
def test_asha_stops_whom_it_says_is_worse(mode: str, grace: int, reduction: float) -> None:
    decided = {True: 0, False: 0}
    for seed in range(25):
        rule, stopped = Asha(search(mode, name="asha", grace=grace, reduction=reduction)), set[str]()
        for name in map(str, range(12)):
            rule.tune.on_trial_add(None, Known(name))
        for name, stage, value in reports(seed):
            if name in stopped:
                continue
            why = rule.why(name, stage, value)
            stop = rule.tune.on_trial_result(None, Known(name), {STAGE: stage, "avg_accuracy": value}) == "STOP"
            stopped |= {name} if stop else set()
            numbers = re.search(r"rung [\d.]+: ([\d.]+) against ([\d.]+),", why)
            difference = float(numbers[1]) - float(numbers[2]) if numbers else 0.0
            worse = difference < 0 if mode == "max" else difference > 0
            assert stop == worse or (numbers and difference == 0), why  # of equal ones, Tune's rounding decides
            assert stage >= grace or why == "between rungs"
            decided[stop] += 1
    assert min(decided.values()) > 20


def test_median_stops_whose_best_is_below_the_others() -> None:
    rule = Median(search(name="median", others=2))
    decided = []
    for name, values in {"a": (0.5, 0.6), "b": (0.7, 0.8), "c": (0.1, 0.9), "d": (0.9, 0.1)}.items():
        rule.tune.on_trial_add(None, Known(name))
        for stage, value in enumerate(values, start=1):
            why = rule.why(name, stage, value)
            said = rule.tune.on_trial_result(None, Known(name), {STAGE: stage, "avg_accuracy": value})
            decided.append((name, stage, said))
            if said == "STOP":
                assert why == "best so far 0.1, against the median of the others' means up to stage 1"
                break
    assert [(name, stage) for name, stage, said in decided if said == "STOP"] == [("c", 1)]
    assert "PAUSE" not in {said for *_, said in decided}


def test_median_never_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune's would, where too few trials are there to compare with, to let those that wait come as far."""

    class Controller:
        def get_live_trials(self) -> list[Any]:
            raise AssertionError("asked for trials that wait")

    rule = Median(search(name="median"))
    rule.tune.on_trial_add(None, Known("a"))
    for stage in range(1, 30):
        said = rule.tune.on_trial_result(Controller(), Known("a"), {STAGE: stage, "avg_accuracy": 0.1})
        assert said == "CONTINUE"


@pytest.mark.parametrize(
    ("result", "found"),
    [
        ({"stage": 2, "avg_accuracy": 0.5}, (2, 0.5)),
        ({"stage": 2, "avg_accuracy": None}, (2, None)),
        ({"stage": 2, "avg_accuracy": float("nan")}, (2, None)),
        ({"stage": 2, "avg_accuracy": float("-inf")}, (2, None)),
        ({}, (0, None)),
    ],
)
def test_what_cannot_be_compared_is_none(result: dict[str, Any], found: tuple[int, float | None]) -> None:
    assert measured(result, "avg_accuracy") == found
