"""Domain-incremental stream: domains arrive one after the other, each with examples and what to predict of them.

Shapes: N training and M held-out examples. An example of text is a block of B tokens, and what is to be predicted the
B - 1 tokens that follow; a masked language model is given blocks with masks and predicts what was there. An image comes
with the mask that hides some of its patches, and what is to be predicted are the pixels there (`masked_images`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zfscale.data.text import TextDomain
from zfscale.streams.masking import mask_blocks


@dataclass(frozen=True)
class DomainTask:
    """Domain `index` of 1..K; inputs [N, ...] and targets [N, ...]. `index` 0 is the upstream domain.

    `bytes_per_token` turns a loss a token into bits a byte of text; None where examples are no text. Where examples
    have classes, `train_labels` [N] and `held_out_labels` [M] name them; no loss looks at these.
    """

    index: int
    name: str
    train_x: np.ndarray
    train_y: np.ndarray
    held_out_x: np.ndarray
    held_out_y: np.ndarray
    bytes_per_token: float | None = None
    train_labels: np.ndarray | None = None
    held_out_labels: np.ndarray | None = None


@dataclass(frozen=True)
class Domains:
    """The domains of a stream in the order of the file; `upstream` stands for what the model was pretrained on."""

    tasks: Sequence[DomainTask]
    upstream: DomainTask | None = None


class DomainIncremental:
    """The domains in a given order of arrival: `order[i]` is the place in the file of the one that arrives i-th."""

    def __init__(self, domains: Domains, order: Sequence[int]) -> None:
        self._tasks = [replace(domains.tasks[j], index=k) for k, j in enumerate(order, start=1)]
        self.upstream = domains.upstream

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[DomainTask]:
        return iter(self._tasks)

    def __getitem__(self, i: int) -> DomainTask:
        return self._tasks[i]


def causal(domain: TextDomain) -> DomainTask:
    """A text domain for a model that predicts the next token."""
    train, held_out = domain.train, domain.held_out
    return DomainTask(0, domain.name, train, train[:, 1:], held_out, held_out[:, 1:], domain.bytes_per_token)


def masked(domain: TextDomain, tokenizer: Any) -> DomainTask:
    """A text domain for a model that predicts hidden tokens: the same ones in every trial."""
    train, held_out = (
        mask_blocks(blocks, tokenizer, seed) for seed, blocks in enumerate((domain.train, domain.held_out))
    )
    return DomainTask(0, domain.name, *train, *held_out, domain.bytes_per_token)
