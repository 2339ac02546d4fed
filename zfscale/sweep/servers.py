"""Ray's servers of a cluster of our own: a signal to the run's process group, as `timeout` sends it, spares them.

They would end before the run has taken leave of them, which then waits for a minute. As it is, the run ends them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ray._private import services


@contextmanager
def own_sessions() -> Iterator[None]:
    """Whatever Ray starts inside has a session of its own; the kernel still kills it with the thread that started it.

    NOTE: Ray has no option for this; its function that starts processes is private.
    """
    before = services.ConsolePopen
    services.ConsolePopen = partial(before, start_new_session=True)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        services.ConsolePopen = before  # type: ignore[misc]
