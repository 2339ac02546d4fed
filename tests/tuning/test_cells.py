"""What the file varies besides names, seeds and what is searched for is a cell of its own, with values of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.spec.test_spec_space import VALIDATED, column, sweep
from zfscale.tuning.cells import cells

RATES: dict[str, Any] = {"optimizer.lr": {"grid": [0.1, 0.01]}}
WIDTHS = {"method.bottleneck": {"grid": [16, 64]}}
SEARCH: dict[str, Any] = {"budget": 1000, "seeds": [100], "space": {"fo-*": RATES, "*": {**RATES, **WIDTHS}}}


@pytest.mark.parametrize(
    "space",
    [
        {"method": {"grid": [{"name": "ease"}, {"name": "ease", "head_scale": 8.0}]}},
        {"method.head_scale": {"grid": [8.0, 1.0]}},
    ],
)
def test_an_option_that_is_the_default_in_one_of_them(space: dict[str, Any], tmp_path: Path) -> None:
    """Such an option is no leaf of a trial where it is the default; an entry for it leaves the others alone."""
    search = {**SEARCH, "space": {"*": RATES}}
    found = cells(sweep(tmp_path, space, search=search))
    assert sorted(str(cell.where["method.head_scale"]) for cell in found) == ["8.0", "None"]
    rates = {None: 0.2, 8.0: 0.4}
    tuned = [
        {"where": dict(cell.where), "values": {"optimizer.lr": rates[cell.where["method.head_scale"]]}, "forwards": 1}
        for cell in found
    ]
    again: Any = sweep(tmp_path, space, search=search, tuned=[{**entry, "trials": 1} for entry in tuned])
    assert {(t.method.filled().head_scale, t.optimizer.lr) for t in again.trials} == {(1.0, 0.2), (8.0, 0.4)}


def test_what_is_searched_for_one_optimizer_alone(tmp_path: Path) -> None:
    """The other has a cell for each value of the file; the first has one, which the chosen value must not leave."""
    space = {"optimizer.name": {"grid": ["fo-sgd", "zo-sgd"]}, **WIDTHS}
    found = cells(sweep(tmp_path, space, search=SEARCH, stream=VALIDATED))
    wide = [f"ease, fo-sgd, method.bottleneck {n}" for n in (16, 64)]
    assert [str(cell) for cell in found] == [*wide, "ease, zo-sgd"]
    entry = {"where": dict(found[2].where), "values": {"method.bottleneck": 4}, "forwards": 1, "trials": 1}
    again = sweep(tmp_path, space, search=SEARCH, stream=VALIDATED, tuned=[entry])
    assert set(column(again, "optimizer.name", "method.bottleneck")) == {("fo-sgd", 16), ("fo-sgd", 64), ("zo-sgd", 4)}
