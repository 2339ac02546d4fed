"""Garbage collection in a process that runs trial after trial: what stays is not looked through again and again."""

from __future__ import annotations

import gc
import sys


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
