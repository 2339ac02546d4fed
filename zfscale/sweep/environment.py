"""The process that drives a sweep: its addresses and variables, set before Ray is imported, and its signals."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

LOCAL = "local"
CLIENT = "ray://"
QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # Tune's state of all trials, which nobody reads
    "TUNE_MAX_PENDING_TRIALS_PG": "200",  # that wait for room: what a cluster that may grow goes by
    "TOKENIZERS_PARALLELISM": "false",
}


@contextmanager
def environment(address: str, quiet: Mapping[str, str] = QUIET) -> Iterator[None]:
    """Variables that Ray reads when it is imported or started; what the user has set stays. `quiet` are Tune's.

    A cluster of our own listens on the loopback device alone and asks for a token that lives as long as it does: an
    open Ray port lets whoever reaches it run code as the user.
    """
    wanted = dict(quiet)
    if address == LOCAL:
        wanted["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's name for: not to be reached from other machines
        if "RAY_AUTH_MODE" not in os.environ:
            wanted |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    mine = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGUSR1, by which schedulers say that time is up, do what Ctrl-C does.

    They do so even where a shell has switched Ctrl-C off, as it does for what it runs in the background.
    """
    signals = (signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop(_number: int, frame: Any) -> None:
    """Call whatever handles Ctrl-C now: Ray Tune while trials run, else Python."""
    current = signal.getsignal(signal.SIGINT)
    (current if callable(current) else signal.default_int_handler)(signal.SIGINT, frame)
