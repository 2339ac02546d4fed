"""Classes cut into tasks: evenly, after a larger first one, or by a list."""

from __future__ import annotations

from typing import Any

import pytest

from zfscale.spec import StreamSpec
from zfscale.spec.tasks import misfit, task_sizes


@pytest.mark.parametrize(
    ("given", "classes", "sizes"),
    [
        ({"tasks": 5}, 10, (2, 2, 2, 2, 2)),
        ({"tasks": 1}, 10, (10,)),
        ({"tasks": 6, "first_task_classes": 50}, 100, (50, 10, 10, 10, 10, 10)),
        ({"tasks": 2, "first_task_classes": 9}, 10, (9, 1)),
        ({"task_sizes": [50, 10, 40]}, 100, (50, 10, 40)),
    ],
)
def test_sizes(given: dict[str, Any], classes: int, sizes: tuple[int, ...]) -> None:
    stream = StreamSpec(dataset="owner/name", **given)
    assert misfit(stream, classes, "it") is None
    assert task_sizes(stream, classes) == sizes


@pytest.mark.parametrize(
    ("given", "key", "says"),
    [
        ({"tasks": 3}, "tasks", "3 does not divide the 10 classes of it; allowed: 1, 2, 5, 10, or task_sizes"),
        ({"tasks": 4, "first_task_classes": 5}, "tasks", "3 do not divide the 5 classes after the first task's 5"),
        ({"tasks": 4, "first_task_classes": 5}, "tasks", "allowed: 2, 6, or task_sizes"),
        ({"tasks": 1, "first_task_classes": 5}, "first_task_classes", "5 leaves 5 of 10 classes for 0 further tasks"),
        ({"tasks": 2, "first_task_classes": 10}, "first_task_classes", "10 leaves 0 of 10 classes for 1 further"),
        ({"tasks": 2, "first_task_classes": 12}, "first_task_classes", "12 leaves 0 of 10 classes for 1 further"),
        ({"task_sizes": [5, 4]}, "task_sizes", "[5, 4] add up to 9, but it has 10 classes"),
    ],
)
def test_what_does_not_fit(given: dict[str, Any], key: str, says: str) -> None:
    finding = misfit(StreamSpec(dataset="owner/name", **given), 10, "it")
    assert finding is not None
    assert finding[0] == ("stream", key)
    assert says in finding[1]
