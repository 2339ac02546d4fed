"""A sweep run from outside its cluster, through Ray's client server (ray://HOST:PORT).

Models and data are read here and sent; the sweep itself is driven by a task on the cluster's head, since that is what
must not stall, and where the results can be written. What it prints is printed here.
"""

from __future__ import annotations

import sys
from typing import Any

import ray

from zfscale.errors import ZfscaleError
from zfscale.spec import Sweep
from zfscale.sweep.cluster import connected
from zfscale.sweep.hold import held
from zfscale.sweep.launch import as_ctrl_c, finish
from zfscale.sweep.runner import begin, drive, load
from zfscale.sweep.todo import missing, root

HEAD = {"node:__internal_head__": 0.001}  # Ray's mark of the head


def run(sweep: Sweep, retry_failed: bool, address: str) -> tuple[int, str]:
    """As `launch.run`. Errors: ZfscaleError for a path of results that is not absolute, which the head cannot know."""
    place = sweep.spec.output.dir
    if "://" not in place and not place.startswith("/"):
        raise ZfscaleError(
            f"output.dir: {place!r} is relative; with {address} it must be absolute, and seen by all nodes"
        )
    inputs = load(sweep, sweep.trials)
    with connected(address, sweep.trials), as_ctrl_c():  # again: Ray has taken SIGTERM
        there = ray.remote(num_cpus=0, max_retries=0, resources=HEAD)(drive_there)
        answer = there.remote(sweep, retry_failed, inputs.put(ray.put))
        try:
            return _told(answer)
        except KeyboardInterrupt:
            print("stopping the sweep", file=sys.stderr)
            ray.cancel(answer)
            return _told(answer)


def drive_there(sweep: Sweep, retry_failed: bool, shared: dict[str, Any]) -> tuple[int, str] | str:
    """On the head: run the sweep; what `run` returns, or the message of an error."""
    try:
        with as_ctrl_c(), held(root(sweep)) as me:
            todo = begin(sweep, retry_failed)
            left = len(drive(sweep, todo, shared, me)) if todo else 0
        return left, "" if left else finish(sweep)
    except KeyboardInterrupt:
        return len(missing(sweep)), ""
    except ZfscaleError as error:
        return str(error)


def _told(answer: Any) -> tuple[int, str]:
    result = ray.get(answer)
    if isinstance(result, str):
        raise ZfscaleError(result)
    return result
