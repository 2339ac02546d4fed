"""Elements of z against a scalar reference; slices, chunks and bit-exactness."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
import torch
from philox_reference import ELEMENT, SEED, words
from torch import nn
from toys import dense_of, given, problem_of, seeds

from zfscale.zo.direct import identity
from zfscale.zo.directions import base, dense
from zfscale.zo.directions.base import GROUP
from zfscale.zo.directions.dense import NOISES
from zfscale.zo.philox import ROUND, derive, words_of
from zfscale.zo.step import Algorithm, Stepper
from zfscale.zo.update import SGD

KINDS = sorted(NOISES)
KEY = words_of(SEED)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2**32, SEED, 2**63 - 1])
def test_elements_are_those_of_the_scalar_reference(kind, seed):
    element, tolerance = ELEMENT[kind]
    z = NOISES[kind](words_of(seed), 0, 2 * GROUP)
    assert (z.dtype, z.shape) == (torch.float32, (2 * GROUP,))
    for i in (*range(0, 140), *range(31, 2 * GROUP, 97), GROUP - 1, GROUP, 2 * GROUP - 1):
        assert abs(float(z[i]) - element(seed, i)) <= tolerance, i


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [2**32, 2**40])
def test_the_counter_has_64_bits(kind, block):
    """Blocks from 2^32 on, which the low word of a counter alone would repeat."""
    element, tolerance = ELEMENT[kind]
    size = dense.SIGNS_PER_BLOCK if kind == "rademacher" else dense.GAUSSIANS_PER_BLOCK
    first = block * size - GROUP
    z = NOISES[kind](KEY, first, 2 * GROUP)
    for i in (0, 1, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP - 1):
        assert abs(float(z[i]) - element(SEED, first + i)) <= tolerance, i
    assert not torch.equal(z[GROUP:], NOISES[kind](KEY, 0, GROUP))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [GROUP, 3 * GROUP, 1 << 19])
def test_slices_equal_the_whole_at_any_chunk_size(kind, chunk, monkeypatch):
    monkeypatch.setattr(base, "CHUNK", chunk)
    total = 4 * GROUP + 77
    whole = NOISES[kind](KEY, 0, 5 * GROUP)[:total]
    starts = (0, 1, 127, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP - 5, total - 1)
    for queries in (1, 4):
        n = dense_of(kind, total, queries=queries)
        for start, count in product(starts, (1, 5, 128, GROUP, GROUP + 1, total)):
            stop = min(start + count, total)
            assert torch.equal(n.slice(SEED, start, stop), whole[start:stop]), (start, stop)
        assert n.slice(SEED, 5, 5).shape == (0,)


def test_pieces_cover_the_range_and_end_where_chunks_do(monkeypatch):
    monkeypatch.setattr(base, "CHUNK", GROUP)
    n = dense_of("rademacher", 3 * GROUP + 5)
    assert list(n.pieces(10, 2 * GROUP + 1)) == [(10, GROUP), (GROUP, 2 * GROUP), (2 * GROUP, 2 * GROUP + 1)]
    assert list(n.pieces(GROUP, 2 * GROUP)) == [(GROUP, 2 * GROUP)]
    assert list(n.pieces(7, 7)) == []
    small = dense_of("rademacher", GROUP)
    assert list(small.pieces(0, GROUP)) == [(0, GROUP)]


@pytest.mark.parametrize("kind", KINDS)
def test_slices_beyond_32_bits(kind, monkeypatch):
    monkeypatch.setattr(dense, "COMPILE_FROM", 2**63)
    element, tolerance = ELEMENT[kind]
    start = (2**44 // base.CHUNK + 1) * base.CHUNK - 5  # five elements before a border between chunks
    got = dense_of(kind, start + 300).slice(SEED, start, start + 300)
    for i in (0, 4, 5, 6, 150, 299):
        assert abs(float(got[i]) - element(SEED, start + i)) <= tolerance


@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_threads_or_length(kind, threads):
    """Vector and scalar code, and the tails between them, must round alike."""
    count = 36 * GROUP  # enough for torch to split it between threads
    torch.set_num_threads(1)
    whole = NOISES[kind](KEY, 0, count)
    for n in (2, 3):
        torch.set_num_threads(n)
        assert torch.equal(NOISES[kind](KEY, 0, count), whole)
        for first, length in ((GROUP, 24), (7 * GROUP, 1), (35 * GROUP, 1), (3 * GROUP, 29)):
            part = NOISES[kind](KEY, first, length * GROUP)
            assert torch.equal(part, whole[first : first + length * GROUP])


@pytest.mark.parametrize("kind", KINDS)
def test_z_does_not_depend_on_the_leaves(kind):
    """Neither on their shapes nor on their dtype: what SGD writes into zero weights is -c z."""

    def moved(dtype: torch.dtype, *shapes: tuple[int, ...]) -> torch.Tensor:
        net = nn.ParameterList([nn.Parameter(torch.zeros(s, dtype=dtype)) for s in shapes])
        stepper = Stepper(Algorithm(lambda p, s: given(-1.0), identity, SGD(0.0)), problem_of(net, kind))
        stepper.step(seeds(0), 1.0, 0)
        return stepper.theta

    z = dense_of(kind, 60).slice(given(1.0).seeds[0], 0, 60)
    for shapes in ([(60,)], [(3, 4), (48,)], [(1,), (7, 1, 7), (2, 5)]):
        assert torch.equal(moved(torch.float32, *shapes), z)
        assert torch.equal(moved(torch.float64, *shapes), z.double())
        for dtype, digits in ((torch.bfloat16, 2**-7), (torch.float16, 2**-10)):
            torch.testing.assert_close(moved(dtype, *shapes).float(), z, rtol=digits, atol=0)


def test_uniform_is_half_a_word_of_its_own_purpose():
    n = dense_of("rademacher", 10_000)
    halves = [w >> shift & 0xFFFF for b in range(5) for w in words(SEED, b, ROUND) for shift in (0, 16)]
    for start, stop in ((0, 40), (3, 12), (8, 16), (39, 40), (5, 5)):
        assert n.uniform(SEED, start, stop, ROUND).tolist() == [h / 65536 for h in halves[start:stop]]
    u = n.uniform(SEED, 0, 10_000, ROUND)
    assert 0 <= float(u.min()) < 1e-3
    assert 1 - 1e-3 < float(u.max()) < 1
    assert abs(float((u * n.slice(SEED, 0, 10_000)).mean())) < 4 * (1 / 3 / 10_000) ** 0.5


def test_no_global_generator_is_touched():
    before = torch.random.get_rng_state()
    n = dense_of("gaussian", 100)
    n.slice(3, 0, 100)
    n.uniform(3, 0, 100, ROUND)
    derive(1, 2, 3)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("total", [3000, 3 * GROUP])
def test_the_cache_returns_what_was_asked_for(total, monkeypatch):
    monkeypatch.setattr(base, "CHUNK", GROUP)
    n = dense_of("rademacher", total)
    for seed, start in [(1, 0), (2, 0), (1, 0), (3, 1000), (1, 900), (2, 0), (1, total - 500)]:
        whole = NOISES["rademacher"](words_of(seed), 0, 3 * GROUP)
        assert torch.equal(n.slice(seed, start, start + 500), whole[start : start + 500])
