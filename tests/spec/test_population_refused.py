"""What a file that asks for population based training may not have, with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.spec.test_spec_space import VALIDATED, sweep
from zfscale.errors import SpecError
from zfscale.spec.population import mutated

RATE = {"optimizer.lr": {"loguniform": [1e-4, 1e-1]}}
HYBRID = {"name": "zo-sgd", "lr": 0.1, "first_order": {"name": "fo-sgd", "lr": 0.1, "epochs": 1}}
PBT = r"s\.yaml:\d+: search\.scheduler: pbt: "


@pytest.mark.parametrize(
    ("space", "search", "blocks", "told"),
    [
        ({}, {}, {}, r"pbt: a population of 1; expected two trials that train"),
        (RATE, {"samples": 1}, {}, PBT + "a population of 1"),
        ({"seed": {"grid": [0, 1]}}, {}, {}, r"s\.yaml:\d+: space: no option of the optimizer is drawn"),
        ({"optimizer.lr": {"grid": [0.1, 0.2]}}, {}, {}, r"s\.yaml:\d+: space: no option of the optimizer is drawn"),
        (RATE, {}, {"optimizer": {"name": "fo-sgd"}}, PBT + "fo-sgd is first-order and has no ledger"),
        (
            {**RATE, "optimizer.name": {"grid": ["zo-sgd", "fo-adam"]}},
            {},
            {},
            PBT + "fo-adam is first-order",
        ),
        (
            RATE,
            {},
            {"optimizer": HYBRID, "train": {"epochs": 2, "batch_size": 8}},
            PBT + r"of optimizer\.first_order no ledger is kept; expected null",
        ),
        (RATE, {}, {"resources": {"workers": 2}}, PBT + "trials of 2 workers are not taken over; allowed: workers: 1"),
        (RATE, {"algorithm": "optuna"}, {}, r"s\.yaml:\d+: search\.algorithm: optuna learns from trials that run"),
        (
            {**RATE, "optimizer.name": {"choice": ["zo-sgd", "zo-adam"]}},
            {},
            {},
            r"s\.yaml:\d+: space\.optimizer\.name: pbt changes values, not names; expected a grid",
        ),
    ],
)
def test_what_cannot_be_a_population_is_refused(
    tmp_path: Path, space: Any, search: dict[str, Any], blocks: dict[str, Any], told: str
) -> None:
    asked = {"samples": 4, "scheduler": "pbt", **search}
    with pytest.raises(SpecError, match=told):
        sweep(tmp_path, space, search=asked, stream=VALIDATED, **blocks)


def test_drawn_options_of_the_optimizer_are_what_is_mutated(tmp_path: Path) -> None:
    space = {**RATE, "method.bottleneck": {"choice": [8, 16]}, "optimizer.queries": {"grid": [1, 2]}}
    made = sweep(tmp_path, space, search={"samples": 3, "scheduler": "pbt"}, stream=VALIDATED)
    assert list(mutated(made.spec)) == ["optimizer.lr"]
    assert made.grows
    with_controls = {**RATE, "method.name": {"grid": ["ease", "simplecil"]}}
    assert sweep(tmp_path, with_controls, search={"samples": 3, "scheduler": "pbt"}, stream=VALIDATED).grows


def test_any_other_scheduler_takes_them(tmp_path: Path) -> None:
    blocks: dict[str, Any] = {"optimizer": HYBRID, "train": {"epochs": 2, "batch_size": 8}}
    assert not sweep(tmp_path, RATE, search={"samples": 3, "scheduler": "asha"}, stream=VALIDATED, **blocks).grows
