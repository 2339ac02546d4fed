"""Philox against its published answers and a scalar reference; seeds derived from seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from philox_reference import SEED, reference, words

from zfscale.zo.philox import DERIVE, PERTURB, ROUND, SPARSE, blocks, derive, philox, words_of

ONES = 0xFFFFFFFF
KNOWN = [  # Random123's kat_vectors: counter, key, result
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def as_tensors(words: Iterable[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The four words of a counter, or of many at once."""
    a, b, c, d = (torch.tensor(word) for word in words)
    return a, b, c, d


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_philox_gives_the_published_answers(counter, key, result):
    assert philox(counter, key) == result
    tensors = philox(as_tensors((c, c) for c in counter), key)
    assert [t.tolist() for t in tensors] == [[r, r] for r in result]
    assert reference(counter, key) == result  # the scalar reference of the other tests


def test_philox_of_integers_and_of_tensors_agree():
    """With the key as integers and, as compiled code has it, as tensors."""
    rng = np.random.default_rng(0)
    counters = rng.integers(0, 2**32, (50, 4))
    key = (0xDEADBEEF, 0xFEEDF00D)
    tensors = torch.stack(philox(as_tensors(counters.T), key), 1)
    for counter, row in zip(counters.tolist(), tensors.tolist(), strict=True):
        assert tuple(row) == philox(tuple(counter), key) == reference(tuple(counter), key)
    keys = torch.tensor(key)
    again = torch.stack(philox(as_tensors(counters.T), (keys[0], keys[1])), 1)
    assert torch.equal(again, tensors)


@pytest.mark.parametrize("purpose", [PERTURB, DERIVE, SPARSE, ROUND])
@pytest.mark.parametrize("first", [0, 5, 2**32 - 2, 2**40])
def test_blocks_are_counters_in_a_row(first, purpose):
    rows = torch.stack(blocks(words_of(SEED), first, 4, purpose), 1).tolist()
    assert [tuple(r) for r in rows] == [words(SEED, first + i, purpose) for i in range(4)]


def test_derived_seeds_are_distinct():
    paths = [(), *product(range(40)), *product(range(20), range(20)), *product(range(8), range(8), range(8))]
    seeds = {derive(root, *path) for root in (0, 1, 2**32, SEED) for path in paths}
    assert len(seeds) == 4 * len(paths)
    children = [derive(7, i) for i in range(2000)]
    assert all(0 <= s < 2**63 for s in children)  # the ledger stores them signed
    assert abs(np.mean(children) / 2**63 - 0.5) < 4 * math.sqrt(1 / 12 / 2000)
    assert derive(5) == 5
    assert derive(derive(5, 1), 2) == derive(5, 1, 2) != derive(5, 2, 1)
    assert derive(5, 1) != derive(5, 1 + 2**32)


def test_derived_seeds_are_not_the_parents_own_draws():
    drawn, own = words(9, 4), words(9, 4, purpose=1)
    assert derive(9, 4) == (own[0] << 31) | (own[1] >> 1)
    assert derive(9, 4) != (drawn[0] << 31) | (drawn[1] >> 1)
