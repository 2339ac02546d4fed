"""A listed order of the classes is a permutation of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.spec.test_spec_space import sweep
from zfscale.errors import SpecError
from zfscale.spec import StreamSpec
from zfscale.spec.class_order import listed_order, misfit

NAMES = ("cat", "dog", "7")


def stream(*listed: str | int) -> StreamSpec:
    return StreamSpec(dataset="owner/name", tasks=3, class_order=listed)


@pytest.mark.parametrize("listed", [(2, 0, 1), ("7", "cat", "dog"), (2, "cat", 1)])
def test_names_and_numbers_are_the_classes(listed: tuple[str | int, ...]) -> None:
    assert misfit(stream(*listed), 3, "it", NAMES) is None
    assert misfit(stream(*listed), 3, "it") is None
    assert listed_order(listed, NAMES) == [2, 0, 1]


@pytest.mark.parametrize(
    ("listed", "names", "says"),
    [
        ((0, 1), (), "2 of the 3 classes of it; allowed: every class once"),
        ((0, 1, 1), (), "1 is listed twice; allowed: every class of it once"),
        ((0, 1, 3), (), "3 is no class of it; allowed: 0 to 2"),
        (("cat", 0, 1), NAMES, "'cat' is listed twice"),
        (("cat", "cow", "dog"), NAMES, "'cow' is no class of it; allowed: 0 to 2, or cat, dog, 7"),
    ],
)
def test_what_is_no_permutation(listed: tuple[str | int, ...], names: tuple[str, ...], says: str) -> None:
    finding = misfit(stream(*listed), 3, "it", names)
    assert finding is not None
    assert finding[0] == ("stream", "class_order")
    assert says in finding[1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"class_order": [0, 1]}, r"yaml:\d+: stream.class_order: 2 of the 10 classes of mnist5k"),
        ({"class_order": [*range(9), 9.5]}, r"yaml:\d+: stream.class_order"),
        ({"class_order": [*range(10)], "class_order_seed": 7}, r"yaml:\d+: stream.class_order_seed: class_order lists"),
        ({"validation": 0}, r"yaml:\d+: stream.validation: expected"),
        ({"validation": 7.5}, r"yaml:\d+: stream.validation: 7.5 images; allowed: a share below 1, or a whole number"),
    ],
)
def test_a_mistake_is_told_with_its_line(given: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=says):
        sweep(tmp_path, {}, stream={"dataset": "mnist5k", "tasks": 5, **given})


def test_orders_are_values_of_the_space(tmp_path: Path) -> None:
    orders = [[*range(10)], [*range(9, -1, -1)]]
    found = sweep(tmp_path, {"stream.class_order": {"grid": orders}}).trials
    assert [list(trial.stream.class_order or ()) for trial in found] == orders


def test_defaults_keep_the_ids_of_earlier_results() -> None:
    assert not {"class_order", "validation"} & set(StreamSpec(dataset="x/y").model_dump(exclude_defaults=True))


def test_the_order_of_the_trials_seed(tmp_path: Path) -> None:
    """It is that seed, written out: the same trial as one that names it, in the same order of classes."""
    paired = sweep(
        tmp_path, {"seed": {"grid": [3, 4]}}, stream={"dataset": "mnist5k", "tasks": 5, "class_order_seed": None}
    )
    assert [(t.seed, t.stream.class_order_seed) for t in paired.trials] == [(3, 3), (4, 4)]
    named = sweep(tmp_path, {}, stream={"dataset": "mnist5k", "tasks": 5, "class_order_seed": 3}, seed=3)
    assert named.trials[0].trial_id == paired.trials[0].trial_id
