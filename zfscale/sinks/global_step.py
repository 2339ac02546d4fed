"""The number of a step in its trial, for sinks that draw one curve over all tasks."""

from __future__ import annotations

from zfscale.records import Step


class GlobalStep:
    """Counts on from task to task.

    >>> number = GlobalStep()
    >>> [number(Step(task, step, 0.5, 0.1, 2, 0.1)) for task, step in ((1, 0), (1, 1), (2, 0))]
    [0, 1, 2]
    """

    def __init__(self) -> None:
        self._task, self._last, self._before = 0, -1, 0  # steps of the tasks before this one

    def __call__(self, record: Step) -> int:
        """The number of a step, from 0."""
        if record.task != self._task:
            self._before += self._last + 1
        self._task, self._last = record.task, record.step
        return self._before + record.step
