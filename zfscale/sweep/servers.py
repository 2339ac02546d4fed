"""Ray's servers of a cluster of our own: signals to the run's process group spare them, and their death ends the run.

At a signal to the group, as `timeout` sends it, they would end before the run has taken leave of them, for which it
then waits for a minute. Where one of them is killed, Ray would end this process some time later, with an exit status
of its own.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray._private import services, utils, worker

from zfscale.patching import replaced

LOOK_EVERY = 1.0  # seconds between two looks at the servers
NEEDED = {"raylet", "gcs_server"}  # without which no trial can run
UNFINISHED = 130  # the exit status of a run that leaves trials to the next


@contextmanager
def own_sessions() -> Iterator[None]:
    """Whatever Ray starts inside has a session of its own; the kernel still kills it with the thread that started it.

    NOTE: Ray has no option for this; its function that starts processes is private.
    """
    with replaced(services, "ConsolePopen", partial(services.ConsolePopen, start_new_session=True)):
        yield


@contextmanager
def own_sigterm() -> Iterator[None]:
    """Whoever handles SIGTERM goes on to do so, also while Ray starts, which would exit with 15 and say nothing.

    NOTE: Ray has no option for this either.
    """
    with replaced(utils, "set_sigterm_handler", lambda handler: None):
        yield


@contextmanager
def watched(end: Callable[[int], Any] = os._exit) -> Iterator[None]:
    """End this process where one of its servers dies inside: nothing can be taken leave of any more."""
    over = threading.Event()
    threading.Thread(target=_watch, args=(over, end), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(over: threading.Event, end: Callable[[int], Any]) -> None:
    while not over.wait(LOOK_EVERY):
        node: Any = worker._global_node  # of a cluster that this process has started
        if node is not None and (dead := NEEDED & {kind for kind, _ in node.dead_processes()}):
            if over.is_set():  # they have been told to end
                return
            names = " and ".join(sorted(dead))
            print(f"Ray's {names} has died; the run ends: the same command resumes it", file=sys.stderr, flush=True)
            end(UNFINISHED)
            return
