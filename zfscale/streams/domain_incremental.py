"""Domain-incremental stream: text domains arrive one after the other; the labels of a block are its next tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zfscale.streams.text import TextDomain


@dataclass(frozen=True)
class DomainTask:
    """Domain `index` of 1..K: token blocks int32 [N, B], and the tokens that follow, int32 [N, B - 1]."""

    index: int
    name: str
    train_x: np.ndarray
    held_out: np.ndarray
    bytes_per_token: float

    @property
    def train_y(self) -> np.ndarray:
        """What is to be predicted: each block without its first token."""
        return self.train_x[:, 1:]


class DomainIncremental:
    """The domains in the order that `order_seed` gives; None keeps the file's."""

    def __init__(self, domains: Sequence[TextDomain], order_seed: int | None) -> None:
        order = (
            range(len(domains)) if order_seed is None else np.random.RandomState(order_seed).permutation(len(domains))
        )
        self._tasks = [task(domains[j], k) for k, j in enumerate(order, start=1)]

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[DomainTask]:
        return iter(self._tasks)

    def __getitem__(self, i: int) -> DomainTask:
        return self._tasks[i]


def task(domain: TextDomain, index: int) -> DomainTask:
    """A domain in its place of the stream."""
    return DomainTask(index, domain.name, domain.train, domain.held_out, domain.bytes_per_token)
