"""Ten million draws of each kind against what theory says of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from philox_reference import SEED
from scipy import stats

from zfscale.zo.directions.dense import NOISES
from zfscale.zo.philox import words_of

PART = 1 << 17
N = 77 * PART  # 1.009e7
KINDS = sorted(NOISES)


def draws(kind: str, seed: int, count: int) -> np.ndarray:
    parts = [NOISES[kind](words_of(seed), first, PART).numpy() for first in range(0, count, PART)]
    return np.concatenate(parts)


@pytest.fixture(scope="module", params=KINDS)
def drawn(request: pytest.FixtureRequest) -> tuple[str, np.ndarray]:
    return request.param, draws(request.param, SEED, N)


def test_moments(drawn):
    kind, z = drawn
    theory = {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96), 6: (15, 10395 - 225)}  # of z^k: mean, variance
    if kind == "rademacher":
        assert set(np.unique(z)) == {-1.0, 1.0}
        theory = {1: (0, 1)}  # the rest follows from the values
    power = np.ones_like(z, dtype=np.float64)
    for k in range(1, max(theory) + 1):
        power *= z
        if k in theory:
            mean, variance = theory[k]
            assert abs(power.mean() - mean) < 4 * math.sqrt(variance / N), k


def test_distribution(drawn):
    kind, z = drawn
    if kind == "gaussian":
        assert stats.kstest(z.astype(np.float64), "norm").pvalue > 0.01
        assert np.abs(z).max() <= math.sqrt(2 * 25 * math.log(2))
        tail = int((np.abs(z) > 4).sum())  # KS does not look there
        expected = 2 * stats.norm.sf(4) * N
        assert abs(tail - expected) < 4 * math.sqrt(expected)
        return
    patterns = np.packbits(z.reshape(-1, 8) > 0, axis=1).ravel()
    assert stats.chisquare(np.bincount(patterns, minlength=256)).pvalue > 0.01
    per_bit = (z.reshape(-1, 128) > 0).sum(0)  # every bit position of a block on its own
    chi2 = float((4 * (per_bit - N / 256) ** 2 / (N / 128)).sum())
    assert 0.005 < stats.chi2.sf(chi2, 128) < 0.995


def test_the_two_of_a_box_muller_pair_are_independent():
    z = draws("gaussian", 11, 4 * PART).astype(np.float64).reshape(-1, 2, 2, 1024)  # group, word pair, cos and sin
    cos, sin = z[:, :, 0].ravel(), z[:, :, 1].ravel()
    n = len(cos)
    assert stats.kstest(np.arctan2(sin, cos), "uniform", (-math.pi, 2 * math.pi)).pvalue > 0.01
    assert stats.kstest(np.exp(-(cos**2 + sin**2) / 2), "uniform").pvalue > 0.01
    for a, b in ((cos, sin), (np.abs(cos), np.abs(sin)), (cos**2, sin**2)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(n)


def test_neighbouring_indices_are_uncorrelated(drawn):
    _, z = drawn
    bound = 4.5 / math.sqrt(N)
    for lag in (1, 2, 3, 4, 5, 8, 31, 32, 64, 127, 128, 129, 1023, 1024, 2048, 3072, 4096):
        assert abs(np.dot(z[lag:].astype(np.float64), z[:-lag]) / N) < bound, lag


@pytest.mark.parametrize("kind", KINDS)
def test_neighbouring_seeds_are_uncorrelated(kind):
    n = 4 * PART
    z = draws(kind, SEED, n).astype(np.float64)
    for other in (SEED + 1, SEED - 1, SEED ^ 2, SEED ^ (1 << 32), SEED ^ (1 << 62), ~SEED & (2**63 - 1)):
        y = draws(kind, other, n)
        for lag in (0, 1, 128, 1024):
            assert abs(np.dot(z[lag:], y[: n - lag]) / n) < 4.5 / math.sqrt(n), (other, lag)
