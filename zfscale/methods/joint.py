"""Joint training: all domains at once, in one stage. The upper bound, which a stream does not allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from zfscale.methods.domains import DomainLearner
from zfscale.streams.base import Stream
from zfscale.streams.domain_incremental import DomainTask

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


class Joint(DomainLearner):
    """One stage over the examples of every domain, mixed."""

    one_by_one = False

    def stages(self, stream: Stream[DomainTask]) -> Iterator[DomainTask]:
        x = np.concatenate([task.train_x for task in stream])
        y = np.concatenate([task.train_y for task in stream])
        yield replace(stream[0], name="all", train_x=x, train_y=y)

    @classmethod
    def stage_count(cls, stream: Stream[DomainTask]) -> int:
        return 1

    @classmethod
    def examples(cls, spec: TrialSpec, stream: Stream[DomainTask]) -> list[int]:
        return [sum(len(task.train_x) for task in stream)]
