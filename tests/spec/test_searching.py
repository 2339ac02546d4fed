"""A file that searches compares its trials on held-out training images, never on test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.spec.test_spec_space import sweep
from zfscale.errors import SpecError

TESTED = {"dataset": "mnist5k", "tasks": 5}
SEARCH = {"metric": "avg_accuracy"}
RATES = {"optimizer.lr": {"grid": [0.1, 0.01]}}


@pytest.mark.parametrize(
    ("space", "search", "path"),
    [
        (RATES, SEARCH, "optimizer.lr"),
        ({"optimizer.lr": {"loguniform": [1e-4, 0.1]}}, {"samples": 2}, "optimizer.lr"),
        ({"optimizer": {"grid": [{"eps": 0.1}, {"eps": 0.01}]}}, SEARCH, "optimizer.eps"),
        ({"method.alpha": {"grid": [0.1, 0.2]}, "seed": {"grid": [0, 1]}}, SEARCH, "method.alpha"),
        (
            {"optimizer.first_order": {"grid": [{"name": "fo-sgd", "epochs": 1, "lr": lr} for lr in (0.1, 0.2)]}},
            SEARCH,
            "optimizer.first_order.lr",
        ),
    ],
)
def test_a_search_on_test_images_is_refused(
    space: dict[str, Any], search: dict[str, Any], path: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=rf"s\.yaml:\d+: search: values of {path} .* such as stream\.validation: 0\.2"):
        sweep(tmp_path, space, stream=TESTED, search=search)
    assert sweep(tmp_path, space, stream={**TESTED, "validation": 0.2}, search=search).trials
    if "samples" not in search:
        assert sweep(tmp_path, space, stream=TESTED).trials  # to show what a number does is no search


@pytest.mark.parametrize(
    "space",
    [
        {"seed": {"grid": [0, 1]}, "method.name": {"grid": ["ease", "aper", "simplecil"]}},
        {"optimizer": {"grid": [{"name": "fo-sgd", "lr": 0}, {"name": "fo-sgd", "lr": 0.1}, {"name": "zo-sgd"}]}},
        {"optimizer.name": {"grid": ["zo-sgd", "zo-adam"]}, "optimizer.lr": {"loguniform": [1e-4, 0.1]}},  # one each
        {"stream.class_order_seed": {"grid": [0, 1]}, "train.epochs": {"grid": [1, 2]}},
    ],
)
def test_other_grids_are_no_search(space: dict[str, Any], tmp_path: Path) -> None:
    assert sweep(tmp_path, space, stream=TESTED, search=SEARCH).trials


def test_the_split_must_be_that_of_every_trial(tmp_path: Path) -> None:
    space = {**RATES, "stream.validation": {"grid": [0.2, None]}}
    with pytest.raises(SpecError, match=r"values of optimizer\.lr"):
        sweep(tmp_path, space, stream=TESTED, search=SEARCH)
