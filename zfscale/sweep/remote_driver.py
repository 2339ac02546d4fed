"""A sweep run from outside its cluster, through Ray's client server (ray://HOST:PORT).

Models and data are read here and sent; the sweep itself is driven by a task on the cluster's head, since that is what
must not stall, and where the results can be written. What it says on stderr is said here.
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr
from typing import Any

import ray

from zfscale.errors import ZfscaleError
from zfscale.results.inputs import Known
from zfscale.results.lock import held
from zfscale.results.missing import Retry, missing, root, unproposed
from zfscale.results.proposals import known
from zfscale.spec import Sweep
from zfscale.spec.own import own_code
from zfscale.sweep.cluster import connected
from zfscale.sweep.driver import begin, drive
from zfscale.sweep.ending import Ended, finish
from zfscale.sweep.private import private_directory
from zfscale.sweep.source import typical
from zfscale.sweep.stopping import stoppable
from zfscale.sweep.wandb_process import wandb_process
from zfscale.trial.cost import expected
from zfscale.trial.fingerprints import prints_of
from zfscale.trial.inputs import read

HEAD: dict[str, Any] = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}  # Ray's mark of the head
LOOK_EVERY = 2.0  # seconds


def run(
    sweep: Sweep,
    *,
    retry_failed: Retry,
    address: str,
    continue_stopped: bool = False,
    max_hours: float | None = None,
) -> Ended:
    """As `launch.run`. Errors: ZfscaleError for a path of results that is not absolute, which the head cannot know."""
    place = sweep.spec.output.dir
    if "://" not in place and not place.startswith("/"):
        raise ZfscaleError(
            f"output.dir: {place!r} is relative; with {address}, expected one that begins with /, or a URL"
        )
    inputs = read(sweep, sweep.outline)
    forwards = expected((*sweep.outline, *typical(sweep)), inputs)
    with connected(address, own_code(sweep.outline, sweep.spec.output)):
        board = ray.remote(**HEAD)(Board).remote()
        there = ray.remote(max_retries=0, **HEAD)(drive_there)
        given = (sweep, retry_failed, continue_stopped, max_hours)
        known_inputs = prints_of(sweep.outline, inputs)
        answer = there.remote(*given, inputs.put(ray.put), known_inputs, forwards, board)
        try:
            return _watch(answer, board)
        except KeyboardInterrupt:
            print("stopping the sweep", file=sys.stderr)
            ray.cancel(answer)
            return _watch(answer, board)


class Board:
    """An actor that keeps what is said until it is read."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        """Add to it."""
        self.text += text

    def take(self) -> str:
        """What was added since the last time."""
        text, self.text = self.text, ""
        return text


class Sender(io.TextIOBase):
    """A text file that writes to a board."""

    def __init__(self, board: Any) -> None:
        self.board = board

    def write(self, text: str) -> int:
        """Does not wait for the board."""
        self.board.write.remote(text)
        return len(text)


def drive_there(
    sweep: Sweep,
    retry_failed: Retry,
    continue_stopped: bool,
    max_hours: float | None,
    shared: dict[str, Any],
    inputs: Known,
    forwards: dict[str, float],
    board: Any,
) -> Ended | str:
    """On the head: run the sweep; what `run` returns, or the message of an error."""
    try:
        with redirect_stderr(Sender(board)), held(root(sweep)) as me, stoppable(root(sweep), me, max_hours):
            sweep = known(sweep)
            todo = begin(sweep, retry_failed, continue_stopped, lambda todo: inputs)
            with private_directory() as place, wandb_process(sweep) as process:
                if todo or unproposed(sweep):
                    todo = drive(sweep, todo, shared, inputs, me, place, forwards, [process])
                if count := len(todo) + unproposed(sweep):
                    return Ended(count, trials=known(sweep).size)
                ended, process.complete = finish(sweep), True
                return ended
    except KeyboardInterrupt:
        sweep = known(sweep)
        return Ended(len(missing(sweep)) + unproposed(sweep), trials=sweep.size)
    except ZfscaleError as error:
        return str(error)


def _watch(answer: Any, board: Any) -> Ended:
    done: list[Any] = []
    while not done:
        done, _ = ray.wait([answer], timeout=LOOK_EVERY)
        sys.stderr.write(ray.get(board.take.remote()))
        sys.stderr.flush()
    result = ray.get(answer)
    if isinstance(result, str):
        raise ZfscaleError(result)
    return result
