"""How the samples of a space are drawn: what stays when it grows, and how evenly they are spread."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.spec.test_spec_space import VALIDATED, column, sweep
from zfscale.errors import SpecError
from zfscale.spec.distributions import Uniform
from zfscale.spec.drawing import independent, sobol, written

TWO = {path: Uniform(uniform=[0.0, 1.0]) for path in ("optimizer.lr", "optimizer.eps")}


@pytest.mark.parametrize("algorithm", ["random", "sobol"])
def test_a_space_that_grows_leaves_all_other_trials_as_they_were(algorithm: str, tmp_path: Path) -> None:
    space: dict[str, Any] = {
        "method.name": {"grid": ["ease"]},
        "optimizer.lr": {"loguniform": [1e-5, 0.1]},
        "optimizer.eps": {"uniform": [0.1, 0.2]},
        "seed": {"grid": [0, 1]},
    }

    def ids(samples: int) -> set[str]:
        search = {"samples": samples, "algorithm": algorithm}
        return {trial.trial_id for trial in sweep(tmp_path, space, search=search, stream=VALIDATED).trials}

    before = ids(3)
    space["method.name"]["grid"] = ["aper", "ease"]
    space["seed"]["grid"] = [7, 0, 1]
    after = ids(5)
    assert (len(before), len(after)) == (6, 30)
    assert before < after


@pytest.mark.parametrize("power", [1, 3, 5])
def test_sobol_points_have_one_in_every_stripe(power: int) -> None:
    """Of 2^m points, one in each of 2^m equal intervals of every path; and four of 16 in each quarter of the square."""
    count = 2**power
    points = [sobol(TWO, written({"method.name": "ease"}), i) for i in range(count)]
    for path in TWO:
        assert sorted(math.floor(point[path] * count) for point in points) == list(range(count))
    quarters = [tuple(point[path] >= 0.5 for path in TWO) for point in (sobol(TWO, "{}", i) for i in range(16))]
    assert {quarters.count(quarter) for quarter in quarters} == {4}


def test_independent_draws_leave_gaps() -> None:
    drawn = [independent(TWO, "{}", i)["optimizer.lr"] for i in range(32)]
    assert len({math.floor(u * 32) for u in drawn}) < 32


def test_grid_points_have_sequences_of_their_own_and_seeds_share_them(tmp_path: Path) -> None:
    space = {
        "seed": {"grid": [0, 1, 2]},
        "method.name": {"grid": ["ease", "aper"]},
        "optimizer.lr": {"loguniform": [1e-5, 0.1]},
    }
    found = sweep(tmp_path, space, search={"samples": 2, "algorithm": "sobol"}, stream=VALIDATED)
    rows = column(found, "method.name", "optimizer.lr")
    assert len(rows) == 12
    assert len(set(rows)) == len({lr for _, lr in rows}) == 4


def test_sobol_draws_are_the_same_on_every_machine(tmp_path: Path) -> None:
    space = {"optimizer.lr": {"loguniform": [1e-5, 0.1]}}
    result = sweep(tmp_path, space, search={"samples": 3, "algorithm": "sobol"}, stream=VALIDATED)
    assert column(result, "optimizer.lr") == [(0.00139768,), (1.39768e-05,), (0.000139768,)]


def test_an_unknown_algorithm_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"search\.algorithm\.name: unknown value 'sobel'; did you mean 'sobol'\?"):
        sweep(tmp_path, {}, search={"algorithm": "sobel"})


def test_scipy_is_imported_for_those_who_ask(tmp_path: Path) -> None:
    code = "import sys, zfscale.spec; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
