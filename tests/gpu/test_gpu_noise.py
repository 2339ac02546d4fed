"""On CUDA as on the CPU, bit for bit: noise, masks, and the arithmetic from which updates are made."""

from __future__ import annotations

import pytest
import torch

from tests.zo.toys import bits, dense_of
from zfscale.zo.directions import compiled, dense
from zfscale.zo.directions.base import CHUNK, GROUP
from zfscale.zo.directions.dense import NOISES
from zfscale.zo.directions.low_rank import LowRank
from zfscale.zo.directions.sparse import Sparse
from zfscale.zo.exact import divide, sqrt, stochastic_round
from zfscale.zo.leaves import Leaves
from zfscale.zo.philox import ROUND, words_of
from zfscale.zo.update import SGD, Adam, AdaMM, Update

pytestmark = pytest.mark.gpu
KINDS = sorted(NOISES)
SEED = 0x0123_4567_89AB_CDEF
SEEDS = (0, 1, SEED, 2**63 - 1)
FIRSTS = (0, CHUNK, 2**40 // CHUNK * CHUNK)
RULES: dict[str, Update] = {"sgd": SGD(0.9, 0.01), "adam": Adam(weight_decay=0.01), "adamm": AdaMM()}


def every_exponent(count: int, seed: int = 0) -> torch.Tensor:
    """Non-negative finite float32 of all exponents, subnormals too."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 0x7F800000, (count,), dtype=torch.int32, generator=draw).view(torch.float32)


def same(there: torch.Tensor, here: torch.Tensor) -> bool:
    return torch.equal(bits(there.cpu()), bits(here))


@pytest.mark.parametrize("kind", KINDS)
def test_eager_noise(kind, cuda):
    for seed in SEEDS:
        for first in FIRSTS:
            here = NOISES[kind](words_of(seed), first, CHUNK)
            assert same(NOISES[kind](words_of(seed), first, CHUNK, cuda), here), (seed, first)


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_noise(kind, cuda):
    kernel = compiled.load(kind, CHUNK, cuda)
    assert kernel is not None, "it was not compiled: the warning above says why"
    for seed in SEEDS:
        for first in FIRSTS:
            assert same(kernel(seed, first), NOISES[kind](words_of(seed), first, CHUNK)), (seed, first)


@pytest.mark.parametrize("kind", KINDS)
def test_slices_of_large_masked_noise(kind, cuda, monkeypatch):
    total = 2 * CHUNK + 5 * GROUP
    mask = {device: Sparse(SEED, 0.3, total, device).mask for device in ("cpu", cuda)}
    here = dense_of(kind, total, mask=mask["cpu"])
    monkeypatch.setattr(dense, "COMPILE_FROM", total)
    there = dense_of(kind, total, device=cuda, mask=mask[cuda])
    assert isinstance(there, dense.Dense)
    assert there._compiled is not None
    for a, b in ((0, total), (CHUNK - 7, CHUNK + 9), (total - 1, total)):
        assert same(there.slice(SEED, a, b), here.slice(SEED, a, b))


@pytest.mark.parametrize("rank", [1, 4])
def test_low_rank_directions(rank, cuda):
    """Matrices, a convolution's kernel and a bias, in two chunks, of which one ends within a matrix."""
    shapes = {"a": (33, 70), "b": (70,), "c": (17, 3, 5, 5), "d": (900, 700)}
    leaves = Leaves.of(shapes, torch.zeros(33 * 70 + 70 + 17 * 75 + 900 * 700))
    assert CHUNK < leaves.total < 2 * CHUNK
    there, here = LowRank(leaves, cuda, rank=rank), LowRank(leaves, rank=rank)
    for seed in SEEDS:
        assert same(there.slice(seed, 0, leaves.total), here.slice(seed, 0, leaves.total)), seed


@pytest.mark.parametrize("total", [7, 20_511, CHUNK + 3])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999, 1.0])
def test_masks_of_sparsity(share, total, cuda):
    count = total + total % 2
    there, here = Sparse(SEED, share, total, cuda), Sparse(SEED, share, total)
    assert same(there.mask(0, count), here.mask(0, count))
    assert int((there.mask(0, count)[:total] == 0).sum()) == round(share * total)


def test_uniforms_of_rounding(cuda):
    there, here = dense_of("rademacher", CHUNK, device=cuda), dense_of("rademacher", CHUNK)
    for start, stop in ((0, CHUNK), (3, 12), (CHUNK - 1, CHUNK)):
        assert same(there.uniform(SEED, start, stop, ROUND), here.uniform(SEED, start, stop, ROUND))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_stochastic_rounding(dtype, cuda):
    x = every_exponent(1_000_000)
    x = torch.cat([x, -x, torch.randn(1_000_000, generator=torch.Generator().manual_seed(1))])
    u = dense_of("rademacher", len(x)).uniform(SEED, 0, len(x), ROUND)
    assert same(stochastic_round(x.to(cuda), dtype, u.to(cuda)), stochastic_round(x, dtype, u))


def test_roots_and_quotients(cuda):
    x = every_exponent(2_000_000, seed=2)
    assert same(sqrt(x.to(cuda)), sqrt(x))
    for by in (0.001, 0.1, 1 - 0.999**7, 3.0):
        assert same(divide(x.to(cuda), by), divide(x, by)), by


@pytest.mark.parametrize("rule", RULES)
def test_updates(rule, cuda):
    update, draw = RULES[rule], torch.Generator().manual_seed(3)
    here = torch.randn(1_000_003, generator=draw)
    there = here.to(cuda)
    states = (update.init(here), update.init(there))
    for t in range(1, 6):
        h = torch.randn(len(here), generator=draw) * 10.0**-t
        mine, states_here = update.apply(here, h, states[0], 1e-3, t)
        its, states_there = update.apply(there, h.to(cuda), states[1], 1e-3, t)
        states = (states_here, states_there)
        assert same(its, mine), t
        assert all(same(states_there[name], value) for name, value in states_here.items()), t
        here, there = here - mine, there - its
