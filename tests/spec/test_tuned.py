"""The block `tuned` gives values to the trials that it names, and to no control; `--set` wins over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.spec.test_spec_space import column, sweep
from zfscale.errors import SpecError

SPACE: dict[str, Any] = {
    "method.name": {"grid": ["aper", "ease"]},
    "optimizer": {"grid": [{"name": "fo-sgd", "lr": 0}, {"name": "fo-sgd", "lr": 0.5}, {"name": "zo-sgd"}]},
}
NAMES = ("method.name", "optimizer.name", "optimizer.lr")


def entry(method: str, optimizer: str, **values: Any) -> dict[str, Any]:
    where = {"method.name": method, "optimizer.name": optimizer}
    return {"where": where, "values": {f"optimizer.{k}": v for k, v in values.items()}, "forwards": 10, "trials": 1}


TUNED = [entry("aper", "fo-sgd", lr=0.1), entry("ease", "fo-sgd", lr=0.2), entry("ease", "zo-sgd", lr=0.3, eps=0.02)]
EXPECTED = [
    ("aper", "fo-sgd", 0),
    ("aper", "fo-sgd", 0.1),
    ("aper", "zo-sgd", 0.001),  # of which nothing was chosen
    ("ease", "fo-sgd", 0),
    ("ease", "fo-sgd", 0.2),
    ("ease", "zo-sgd", 0.3),
]


def test_each_trial_has_what_was_chosen_for_it(tmp_path: Path) -> None:
    found = sweep(tmp_path, SPACE, tuned=TUNED)
    assert column(found, *NAMES) == EXPECTED
    assert found.trials[-1].optimizer.eps == 0.02


def test_a_trial_is_the_same_as_if_the_value_stood_in_the_template(tmp_path: Path) -> None:
    one = sweep(tmp_path, {}, tuned=[entry("ease", "zo-sgd", lr=0.3)])
    other = sweep(tmp_path, {}, "optimizer.lr=0.3")
    assert [t.trial_id for t in one.trials] == [t.trial_id for t in other.trials]


@pytest.mark.parametrize("given", ["optimizer.lr=0.7", "space.optimizer.lr={grid: [0.7]}"])
def test_set_wins(given: str, tmp_path: Path) -> None:
    found = sweep(tmp_path, {}, given, tuned=[entry("ease", "zo-sgd", lr=0.3, eps=0.02)])
    assert column(found, "optimizer.lr", "optimizer.eps") == [(0.7, 0.02)]


def test_an_entry_for_no_trial_is_an_error_unless_a_set_took_it_away(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"s\.yaml:\d+: tuned\[1\]\.where: no trial of the file that trains has these"):
        sweep(tmp_path, SPACE, tuned=[TUNED[0], entry("eaze", "fo-sgd", lr=0.1)])
    assert len(sweep(tmp_path, SPACE, "method.name=aper", tuned=TUNED).trials) == 3


def test_where_a_trial_is_wrong_nothing_is_said_of_entries_for_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        sweep(tmp_path, SPACE, tuned=TUNED, train={"epochs": 1, "batch_sise": 8})
    (line,) = str(error.value).splitlines()
    assert "train.batch_sise: unknown key; did you mean 'batch_size'?" in line


def test_a_value_that_is_not_allowed_is_told_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"s\.yaml:\d+: tuned\[0\]\.values\.optimizer\.lr: expected a number >= 0, got -1"
    ):
        sweep(tmp_path, SPACE, tuned=[entry("ease", "zo-sgd", lr=-1)])
