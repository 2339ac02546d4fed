"""How many classes each task of a class-incremental stream brings: all alike, a larger first task, or a list."""

from __future__ import annotations

from zfscale.spec.names import Finding
from zfscale.spec.stream import StreamSpec


def task_sizes(stream: StreamSpec, classes: int) -> tuple[int, ...]:
    """The classes of each task, in order of arrival; they add up to `classes`. The stream has no `misfit`."""
    if stream.task_sizes is not None:
        return stream.task_sizes
    assert stream.tasks is not None, "the spec is checked"
    if stream.first_task_classes is None:
        return (classes // stream.tasks,) * stream.tasks
    steps = stream.tasks - 1
    return (stream.first_task_classes, *((classes - stream.first_task_classes) // steps,) * steps)


def misfit(stream: StreamSpec, classes: int, dataset: str) -> Finding | None:
    """Why the classes of `dataset` cannot be cut into the stream's tasks; None if they can."""
    if stream.task_sizes is not None:
        total = sum(stream.task_sizes)
        message = f"{list(stream.task_sizes)} add up to {total}, but {dataset} has {classes} classes"
        return None if total == classes else (("stream", "task_sizes"), message)
    assert stream.tasks is not None, "the spec is checked"
    if stream.first_task_classes is None:
        return _uneven(stream.tasks, classes, f"the {classes} classes of {dataset}")
    first, steps = stream.first_task_classes, stream.tasks - 1
    if steps < 1 or classes - first < steps:
        message = f"{first} leaves {max(0, classes - first)} of {classes} classes for {steps} further tasks"
        return ("stream", "first_task_classes"), f"{message}; allowed: at least one class for each of them"
    return _uneven(steps, classes - first, f"the {classes - first} classes after the first task's {first}", extra=1)


def _uneven(parts: int, classes: int, what: str, extra: int = 0) -> Finding | None:
    """That `parts` tasks cannot share classes evenly; `extra` tasks are counted besides."""
    if classes % parts == 0:
        return None
    allowed = ", ".join(str(n + extra) for n in range(1, classes + 1) if classes % n == 0)
    given = f"{parts} does not divide {what}" if not extra else f"{parts + extra} tasks: {parts} do not divide {what}"
    return ("stream", "tasks"), f"{given}; allowed: {allowed}, or task_sizes"
