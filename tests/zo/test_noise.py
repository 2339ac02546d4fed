"""Philox against its published answers and a scalar reference; slices, statistics and bit-exactness of z."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from zfscale.zo import noise
from zfscale.zo.noise import NOISES, Noise, derive, gaussian, philox, rademacher

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
SEED = 0x1234_5678_9ABC_DEF0
KINDS = sorted(NOISES)


def reference(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """Philox 4x32-10 as the paper writes it: R0 = mulhi(M1, c2) ^ c1 ^ k0, and so on."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * a, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c, 2**32)
        a, b, c, d = high1 ^ b ^ k, low1, high0 ^ d ^ m, low0
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return a, b, c, d


def words(seed: int, block: int) -> tuple[int, ...]:
    return reference((block % 2**32, block >> 32, 0, 0), (seed % 2**32, seed >> 32))


def signs_of_block(seed: int, block: int) -> list[float]:
    return [1.0 - 2 * (word >> bit & 1) for word in words(seed, block) for bit in range(32)]


def normals_of_block(seed: int, block: int) -> list[float]:
    z = []
    w = words(seed, block)
    for u, v in (w[:2], w[2:]):
        uniform = float(np.float32((u >> 8) + 0.5)) / 2**24  # float32, as it has 24 bits
        radius = math.sqrt(-2 * math.log(uniform))
        within = ((v >> 6) % 2**24 + 0.5 - 2**23) * math.pi / 2**25  # the 24 bits below the quadrant's two
        angle = (v >> 30) * math.pi / 2 + within
        z += [radius * math.cos(angle), radius * math.sin(angle)]
    return z


REFERENCE = {"rademacher": (signs_of_block, 0.0), "gaussian": (normals_of_block, 5e-6)}


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "CHUNK", 1024)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_philox_gives_the_published_answers(counter, key, result):
    assert philox(counter, key) == result
    tensors = philox(tuple(torch.tensor([c, c]) for c in counter), key)
    assert [t.tolist() for t in tensors] == [[r, r] for r in result]
    assert reference(counter, key) == result  # the scalar reference of the tests below


def test_philox_of_integers_and_of_tensors_agree():
    rng = np.random.default_rng(0)
    counters = rng.integers(0, 2**32, (50, 4))
    key = (0xDEADBEEF, 0xFEEDF00D)
    tensors = torch.stack(philox(tuple(torch.tensor(c) for c in counters.T), key), 1)
    for counter, row in zip(counters.tolist(), tensors.tolist(), strict=True):
        assert tuple(row) == philox(tuple(counter), key) == reference(tuple(counter), key)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2**32, SEED, 2**63 - 1])
def test_elements_are_those_of_the_scalar_reference(kind, seed):
    block, tolerance = REFERENCE[kind]
    expected = [z for b in range(-(-256 // len(block(seed, 0)))) for z in block(seed, b)]
    np.testing.assert_allclose(NOISES[kind](seed, 0, 256).numpy(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [2**32 - 1, 2**32, 2**32 + 7, 2**40 + 3])
def test_the_counter_has_64_bits(kind, first):
    """Blocks beyond 2^32, which the low word of a counter alone would repeat."""
    block, tolerance = REFERENCE[kind]
    size = len(block(SEED, 0))
    got = NOISES[kind](SEED, first * size, 3 * size).numpy()
    expected = [z for b in range(first, first + 3) for z in block(SEED, b)]
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
    low = NOISES[kind](SEED, (first + 2) % 2**32 * size, size).numpy()
    assert not np.array_equal(got[-size:], low)


@pytest.mark.parametrize("kind", KINDS)
def test_slices_equal_the_whole(kind, small_chunks):
    total = 4000
    whole = NOISES[kind](SEED, 0, 4096)[:total]
    cuts = (0, 1, 3, 4, 127, 128, 129, 1000, 1023, 1024, 1025, 2047, 2048, 3100, 3999)
    for keep in (1, 8):
        n = Noise(kind, keep=keep)
        for start, count in product(cuts, (1, 5, 128, 1024, 1025, 2500) if keep > 1 else (1500,)):
            count = min(count, total - start)
            got = n.slice(SEED, start, count, total)
            assert torch.equal(got, whole[start : start + count]), (start, count)
    assert Noise(kind).slice(SEED, 1024, 0, 1024).shape == (0,)


@pytest.mark.parametrize("kind", KINDS)
def test_slices_at_the_real_chunk_size_and_beyond_32_bits(kind):
    block, tolerance = REFERENCE[kind]
    size = len(block(SEED, 0))
    start = (2**44 // noise.CHUNK + 1) * noise.CHUNK - 5  # five elements before a border between chunks
    total = start + 300
    got = Noise(kind).slice(SEED, start, 300, total).numpy()
    for i in (0, 4, 5, 6, 150, 299):
        b, within = divmod(start + i, size)
        assert abs(got[i] - block(SEED, b)[within]) <= tolerance


@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_threads_chunks_or_length(kind, threads, monkeypatch):
    """Vector and scalar code, and the tails between them, must round alike."""
    count = 150_016  # enough for torch to split it between threads
    torch.set_num_threads(1)
    whole = NOISES[kind](SEED, 0, count)
    for n in (2, 3):
        torch.set_num_threads(n)
        assert torch.equal(NOISES[kind](SEED, 0, count), whole)
        assert torch.equal(NOISES[kind](SEED, 1280, 99_968), whole[1280 : 1280 + 99_968])
    torch.set_num_threads(1)
    for chunk in (128, 384, 4096):
        monkeypatch.setattr(noise, "CHUNK", chunk)
        for start, n in ((0, 900), (1, 1000), (77, 515), (5003, 1)):
            for total in (6000, count):
                assert torch.equal(Noise(kind).slice(SEED, start, n, total), whole[start : start + n])


def test_no_global_generator_is_touched():
    before = torch.random.get_rng_state()
    Noise("gaussian").slice(3, 0, 100, 100)
    derive(1, 2, 3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_cache_returns_what_was_asked_for(small_chunks):
    n = Noise("rademacher", keep=2)
    asked = [(1, 0), (2, 0), (1, 0), (3, 1000), (1, 900), (2, 0)]
    for seed, start in asked:
        assert torch.equal(n.slice(seed, start, 500, 3000), rademacher(seed, 0, 3072)[start : start + 500])
    assert torch.equal(n.slice(1, 0, 100, 100), rademacher(1, 0, 128)[:100])


def test_gaussian_is_standard_normal():
    z = gaussian(11, 0, 400_000).double().numpy()
    n = len(z)
    assert np.isfinite(z).all()
    for power, (mean, variance) in {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)}.items():
        assert abs((z**power).mean() - mean) < 4 * math.sqrt(variance / n), power
    assert stats.kstest(z, "norm").pvalue > 0.01
    pairs = z.reshape(-1, 2)  # the two of a Box-Muller pair: their angle is uniform, their radius independent of it
    angle = np.arctan2(pairs[:, 1], pairs[:, 0])
    assert stats.kstest(angle, "uniform", (-math.pi, 2 * math.pi)).pvalue > 0.01
    assert abs(np.corrcoef(np.abs(pairs[:, 0]), np.abs(pairs[:, 1]))[0, 1]) < 4 / math.sqrt(n / 2)


def test_rademacher_is_a_fair_coin():
    z = rademacher(11, 0, 1 << 20).numpy()
    assert set(np.unique(z)) == {-1.0, 1.0}
    assert abs(z.mean()) < 4 / math.sqrt(len(z))
    patterns = np.packbits(z.reshape(-1, 8) > 0, axis=1).ravel()
    assert stats.chisquare(np.bincount(patterns, minlength=256)).pvalue > 0.01
    per_bit = (z.reshape(-1, 128) > 0).sum(0)  # every bit position of a block on its own
    assert stats.chisquare(per_bit, np.full(128, per_bit.sum() / 128)).pvalue > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_uncorrelated(kind):
    n = 1 << 18
    z = NOISES[kind](SEED, 0, n).double()
    bound = 4.5 / math.sqrt(n)
    for lag in (1, 2, 3, 4, 5, 8, 31, 32, 64, 127, 128, 129, 1024):
        assert abs(float((z[lag:] * z[:-lag]).mean())) < bound, lag
    for other in (SEED + 1, SEED - 1, SEED ^ 2, SEED ^ (1 << 32), SEED ^ (1 << 62), ~SEED & (2**63 - 1)):
        y = NOISES[kind](other, 0, n).double()
        for lag in (0, 1, 128):
            assert abs(float((z[lag:] * y[: n - lag]).mean())) < bound, (other, lag)


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
    drawn, own = words(9, 4), reference((4, 0, 1, 0), (9, 0))  # the third word of the counter is the purpose
    assert derive(9, 4) == (own[0] << 31) | (own[1] >> 1)
    assert derive(9, 4) != (drawn[0] << 31) | (drawn[1] >> 1)
