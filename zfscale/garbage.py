"""Garbage collection where much stays: it is not looked through again and again."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Settled:
    """Freezes what the process keeps: modules, and what they hold, which is most of its objects.

    A trial collects garbage some times, at its start and in DeepSpeed's; over the modules of torch, transformers and
    DeepSpeed that takes longer than a short trial. Some are imported by the first trial only, or by one of another
    method, so the objects are frozen again whenever there are more modules.
    """

    def __init__(self) -> None:
        self._modules = 0
        self.again()

    def again(self) -> None:
        """For between two trials: what is garbage goes first."""
        if len(sys.modules) > self._modules:
            gc.collect()
            gc.freeze()
            self._modules = len(sys.modules)


def freeze() -> None:
    """Exempt all that exists from garbage collection: in a command, a sweep stays until the end."""
    gc.freeze()


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage while objects by the hundred thousand are made that all stay; they count as old after it."""
    enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not frozen:  # else this would thaw what others have frozen
                gc.freeze()
                gc.unfreeze()
            gc.enable()
