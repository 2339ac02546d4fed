"""The reasons that are given for decisions are those for which Tune decides."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from zfscale.spec import SearchSpec
from zfscale.sweep.judge import Known
from zfscale.sweep.rules import STAGE, Asha, HyperBand, Median, bracket_of, measured


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
@pytest.mark.parametrize("kind", [Asha, HyperBand])
def test_asha_stops_whom_it_says_is_worse(kind: type[Asha], mode: str, grace: int, reduction: float) -> None:
    decided = {True: 0, False: 0}
    for seed in range(25):
        rule, stopped = kind(search(mode, name=kind.__name__.lower(), grace=grace, reduction=reduction)), set[str]()
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
            assert stage >= grace or why.endswith("between rungs")
            decided[stop] += 1
    assert min(decided.values()) > 20


def test_hyperband_compares_inside_brackets_whose_first_rungs_are_later_and_later() -> None:
    rule = HyperBand(search(name="hyperband", grace=1, reduction=2, brackets=3))
    first: dict[int, set[str]] = {0: set(), 1: set(), 2: set()}
    for name in map(str, range(40)):
        rule.tune.on_trial_add(None, Known(name))
        for stage in range(1, 6):
            why = rule.why(name, stage, 0.5)
            assert why.startswith(f"bracket {bracket_of(name, 3) + 1}, ")
            assert rule.tune.on_trial_result(None, Known(name), {STAGE: stage, "avg_accuracy": 0.5}) == "CONTINUE"
            if "rung" in why and "between" not in why and stage == 2 ** bracket_of(name, 3):
                first[bracket_of(name, 3)].add(why.split("rung ")[1].split(":")[0])
    assert first == {0: {"1"}, 1: {"2"}, 2: {"4"}}


def test_brackets_have_the_shares_of_ray_tune() -> None:
    names = [f"{i:012x}" for i in range(10_000)]
    counts = np.bincount([bracket_of(name, 3) for name in names]) / len(names)
    assert counts == pytest.approx([0.665, 0.245, 0.090], abs=0.015)
    assert {bracket_of(name, 1) for name in names} == {0}


def test_a_bracket_without_rungs_stops_nobody() -> None:
    rule = HyperBand(search(name="hyperband", reduction=1000.0, brackets=20))
    for name in map(str, range(40)):
        rule.tune.on_trial_add(None, Known(name))
        assert rule.tune.on_trial_result(None, Known(name), {STAGE: 1, "avg_accuracy": -float(name)}) in (
            "CONTINUE",
            "STOP" if bracket_of(name, 20) == 0 else "",
        )


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
