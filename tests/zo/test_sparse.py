"""Exactly the share asked for is zeroed, at random, the same whoever looks."""

from __future__ import annotations

import pytest
import torch
from toys import dense_of

from zfscale.zo.directions import base
from zfscale.zo.directions.base import CHUNK
from zfscale.zo.directions.sparse import Sparse


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("total", [1, 7, 1000, CHUNK + 4321])
def test_the_share_is_exact(share, total):
    kept = Sparse(3, share, total).mask(0, total + total % 2)[:total]
    assert int((kept == 0).sum()) == round(share * total)
    assert set(kept.unique().tolist()) <= {0.0, 1.0}


def test_the_mask_is_a_function_of_seed_and_index():
    total = 5000
    whole = Sparse(3, 0.5, total).mask(0, total)
    again = Sparse(3, 0.5, total)
    assert torch.equal(torch.cat([again.mask(i, 128) for i in range(0, 4992, 128)]), whole[:4992])
    other = Sparse(4, 0.5, total).mask(0, total)
    agree = float((whole == other).float().mean())
    assert 0.45 < agree < 0.55
    neighbours = float((whole[1:] == whole[:-1]).float().mean())
    assert 0.45 < neighbours < 0.55


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
@pytest.mark.parametrize("total", [377, 10_001])
def test_noise_is_masked_and_otherwise_untouched(kind, total, monkeypatch):
    monkeypatch.setattr(base, "CHUNK", 4096)  # the larger of the two is of three chunks
    mask = Sparse(9, 0.3, total).mask
    plain, masked = dense_of(kind, total), dense_of(kind, total, mask=mask)
    for a, b in ((0, 300), (300, 377), (0, total)):
        assert torch.equal(masked.slice(5, a, b), plain.slice(5, a, b) * mask(0, total + total % 2)[a:b])
