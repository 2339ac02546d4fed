"""Trials are started in the order of the file, and those that have ended are not looked at again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial

from zfscale.sweep.in_order import InOrder


class Seen(list[Any]):
    """A list that counts the looks at its items."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        return super().__getitem__(place)


def following(queue: InOrder, trials: list[Any]) -> Any:
    """Which of the trials is to be started."""
    return queue.choose_trial_to_run(SimpleNamespace(get_trials=lambda: trials))


def waits() -> Any:
    """A trial that was not started."""
    return SimpleNamespace(status=Trial.PENDING)


def test_the_first_trial_that_waits_is_next() -> None:
    states = (Trial.TERMINATED, Trial.RUNNING, Trial.PENDING)
    trials: list[Any] = [SimpleNamespace(status=state) for state in states]
    queue = InOrder()
    assert following(queue, trials) is trials[2]
    trials[2].status = Trial.RUNNING
    assert following(queue, trials) is None
    trials.append(waits())
    assert following(queue, trials) is trials[3]


def test_a_trial_costs_as_much_after_many_as_after_few() -> None:
    trials = Seen(waits() for _ in range(1000))
    queue = InOrder()
    for trial in list[Any](trials):
        assert following(queue, trials) is trial
        trial.status = Trial.TERMINATED
    assert trials.looks < 5 * len(trials)
