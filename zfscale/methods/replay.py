"""Replay: with each domain, a share of every earlier one's examples is learned again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from zfscale.methods.domains import DomainLearner
from zfscale.streams.base import Stream
from zfscale.streams.domain_incremental import DomainTask
from zfscale.training.seeds import REPLAY
from zfscale.zo.philox import derive

if TYPE_CHECKING:
    from zfscale.spec import MethodSpec, TrialSpec


class Replay(DomainLearner):
    """`replay_fraction` of each earlier domain, chosen by seed, anew for every stage; the batches mix all of it.

    The first-order and the forward-only optimizers see the same examples in the same order.
    """

    def stages(self, stream: Stream[DomainTask]) -> Iterator[DomainTask]:
        earlier: list[DomainTask] = []
        for task in stream:
            kept = [self._rows(old, task) for old in earlier]
            x = [task.train_x, *(old.train_x[rows] for old, rows in zip(earlier, kept, strict=True))]
            y = [task.train_y, *(old.train_y[rows] for old, rows in zip(earlier, kept, strict=True))]
            yield replace(task, train_x=np.concatenate(x), train_y=np.concatenate(y))
            earlier.append(task)

    @classmethod
    def examples(cls, spec: TrialSpec, stream: Stream[DomainTask]) -> list[int]:
        sizes = [len(task.train_x) for task in stream]
        again = [replayed(spec.method, size) for size in sizes]
        return [size + sum(again[:k]) for k, size in enumerate(sizes)]

    def _rows(self, old: DomainTask, task: DomainTask) -> np.ndarray:
        """Rows of an earlier domain that are learned again with `task`."""
        seed = derive(self.spec.seed, task.index, REPLAY, old.index)
        order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(old.train_x))
        return np.sort(order[: replayed(self.spec.method, len(old.train_x))])


def replayed(method: MethodSpec, examples: int) -> int:
    """How many of an earlier domain's examples are learned again."""
    return max(1, round(method.replay_fraction * examples))
