"""Domains in order of seed; the labels of a block are its next tokens."""

from __future__ import annotations

import numpy as np

from zfscale.data.examples import Examples
from zfscale.data.text import TextDomain
from zfscale.models.families.language import causal
from zfscale.spec.domains import domain_order
from zfscale.streams.domain_incremental import DomainIncremental, Domains


def domain(name: str, start: int) -> Examples:
    blocks = np.arange(start, start + 12, dtype=np.int32).reshape(3, 4)
    return causal(TextDomain(name, blocks, blocks[:1], 1.0))


DOMAINS = Domains([domain(name, 100 * i) for i, name in enumerate("abcdef")])


def test_the_order_is_the_files_or_the_seeds():
    assert domain_order(6, None) == list(range(6))
    shuffled = domain_order(6, 3)
    assert sorted(shuffled) == list(range(6))
    assert shuffled == domain_order(6, 3)
    assert len({tuple(domain_order(6, seed)) for seed in range(5)}) > 1
    names = [task.name for task in DomainIncremental(DOMAINS, shuffled)]
    assert names == ["abcdef"[i] for i in shuffled]


def test_tasks_count_from_one_and_labels_are_the_next_tokens():
    stream = DomainIncremental(DOMAINS, domain_order(6, 1))
    assert [t.index for t in stream] == list(range(1, 7))
    assert len(stream) == 6
    for task in stream:
        assert np.array_equal(task.train_y, task.train_x[:, :-1] + 1)
    assert stream[2].index == 3
