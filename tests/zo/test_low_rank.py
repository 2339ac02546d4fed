"""Low-rank directions against their formula in NumPy; variance, rank, slices, shards, training and replay."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from philox_reference import SEED, normal
from toys import Regression, bits, given, seeds, weights

from zfscale.engine.module_leaves import trainable
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.engine.overlay import Overlay
from zfscale.spec import OptimizerSpec
from zfscale.zo.catalogue import optimizer
from zfscale.zo.directions import base
from zfscale.zo.directions.base import GROUP, Directions, make_directions
from zfscale.zo.directions.low_rank import LEFT, REST, RIGHT, LowRank
from zfscale.zo.directions.sparse import Sparse
from zfscale.zo.leaves import Leaves
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper, make_algorithm

# A scalar, matrices, a bias, a convolution's kernel, a class token and a row: the last two are no matrices.
SHAPES = {"s": (), "a": (33, 70), "b": (70,), "c": (17, 3, 5, 5), "cls": (1, 1, 21), "row": (1, 40), "d": (300, 23)}
MATRICES = {"a": (33, 70), "c": (17, 75), "d": (300, 23)}
TOTAL = sum(map(prod, SHAPES.values()))


def leaves(**shapes: tuple[int, ...]) -> Leaves:
    return Leaves.of(shapes or SHAPES, torch.zeros(sum(map(prod, (shapes or SHAPES).values()))))


def formula(seed: int, rank: int) -> dict[str, np.ndarray]:
    """z of every leaf, from scalar normal numbers."""
    found, at = {}, {LEFT: 0, RIGHT: 0, REST: 0}

    def take(purpose: int, *shape: int) -> np.ndarray:
        start = at[purpose]
        at[purpose] += prod(shape)
        return np.array([normal(seed, i, purpose) for i in range(start, at[purpose])]).reshape(shape)

    for name, shape in SHAPES.items():
        if name in MATRICES:
            rows, columns = MATRICES[name]
            u, v = take(LEFT, rows, rank), take(RIGHT, columns, rank)
            found[name] = (u @ v.T / np.sqrt(rank)).reshape(shape)
        else:
            found[name] = take(REST, *shape)
    return found


@pytest.mark.parametrize("rank", [1, 3, 4])
def test_elements_are_those_of_the_formula(rank):
    z = LowRank(leaves(), rank=rank).slice(SEED, 0, TOTAL)
    expected = np.concatenate([value.ravel() for value in formula(SEED, rank).values()])
    assert (z.dtype, z.shape) == (torch.float32, (TOTAL,))
    np.testing.assert_allclose(z.numpy(), expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize("rank", [1, 2, 7])
def test_a_matrix_has_the_rank_and_its_neighbours_have_factors_of_their_own(rank):
    both = LowRank(leaves(a=(40, 30), b=(40, 30)), rank=rank).slice(5, 0, 2400).view(2, 40, 30).double()
    assert [int(torch.linalg.matrix_rank(m, rtol=1e-5)) for m in both] == [rank, rank]
    assert int(torch.linalg.matrix_rank(torch.cat([*both]), rtol=1e-5)) == 2 * rank
    assert int(torch.linalg.matrix_rank(torch.cat([*both], 1), rtol=1e-5)) == 2 * rank


@pytest.mark.parametrize("rank", [1, 4])
def test_elements_have_variance_1_and_are_not_correlated(rank):
    """Of 4,000 seeds; the variance of a product's square is what sets the bounds."""
    n = 4000
    directions = LowRank(leaves(a=(3, 4), b=(2,)), rank=rank)
    z = torch.stack([directions.slice(s, 0, 14) for s in range(n)]).double()
    deviation = 5 * (3 + 6 / rank) ** 0.5 / n**0.5  # E[z^4] = 3 + 6 / rank
    assert float(z.mean(0).abs().max()) < 5 / n**0.5
    assert float((z.T @ z / n - torch.eye(14)).abs().max()) < deviation < 0.25
    fourth = float(z[:, :12].pow(4).mean())
    assert fourth == pytest.approx(3 + 6 / rank, rel=0.15)


@pytest.mark.parametrize("chunk", [GROUP, 1 << 19])
def test_slices_equal_the_whole_at_any_chunk_size(chunk, monkeypatch):
    whole = LowRank(leaves(), rank=3).slice(SEED, 0, TOTAL)
    monkeypatch.setattr(base, "CHUNK", chunk)
    cut = LowRank(leaves(), rank=3)
    assert len(list(cut.pieces(0, TOTAL))) == (1 if chunk > TOTAL else 3)
    for start in (0, 1, 70, 71, 2310, 2312, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP, TOTAL - 1):
        for stop in (start, start + 1, start + 69, start + GROUP, TOTAL):
            assert torch.equal(cut.slice(SEED, start, min(stop, TOTAL)), whole[start : min(stop, TOTAL)])


def test_a_shard_of_every_leaf_has_the_elements_of_the_whole():
    """Places and whole shapes are all that it knows of other ranks, as under ZeRO-3."""
    whole = LowRank(leaves(), rank=2).slice(SEED, 0, TOTAL)
    parts = []
    for leaf in leaves():
        middle = leaf.start + -(-(leaf.stop - leaf.start) // 2)
        for first, last in ((leaf.start, middle), (middle, leaf.stop)):
            mine = LowRank([replace(other, first=first, last=last) for other in leaves()], rank=2)
            parts.append(mine.slice(SEED, first, last))
    assert torch.equal(torch.cat(parts), whole)


def test_a_mask_and_a_seed_act_as_on_other_directions():
    mask = Sparse(3, 0.5, TOTAL).mask
    plain, masked = LowRank(leaves(), rank=2), LowRank(leaves(), rank=2, mask=mask)
    assert torch.equal(masked.slice(1, 0, TOTAL), plain.slice(1, 0, TOTAL) * mask(0, TOTAL + TOTAL % 2)[:TOTAL])
    assert not torch.isclose(plain.slice(1, 0, TOTAL), plain.slice(2, 0, TOTAL)).any()


def problem(o: OptimizerSpec, net: Regression) -> Problem:
    found = trainable(net)
    directions: Directions = make_directions(o, found)
    assert isinstance(directions, LowRank)
    return Problem(ModuleOracle(net, found, Overlay(net, found)), directions)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["zo-sgd", "zo-adam-conserve", "forward-grad-sign"])
def test_an_optimizer_learns_along_them_and_is_replayed_bit_for_bit(name, dtype):
    o = OptimizerSpec(name=name, lr=0.01, noise="low-rank", rank=1, queries=2, eps=0.05)
    net, twin = Regression().to(dtype), Regression().to(dtype)
    stepper, again = (Stepper(make_algorithm(o), problem(o, n)) for n in (net, twin))
    before = float(net().detach())
    for t in range(80):
        result = stepper.step(seeds(t, 2), o.lr, t)
        again.commit(replace(given(*result.coefficients), seeds=result.seeds), o.lr, result.accepted, t)
    assert float(net().detach()) < 0.7 * before
    assert torch.equal(bits(weights(net)), bits(weights(twin)))


def test_rank_means_something_to_low_rank_noise_only():
    facts = optimizer("zo-sgd")
    named = {n: facts.options(OptimizerSpec(name="zo-sgd", lr=1, noise=n)) for n in ("gaussian", "low-rank")}
    assert named["low-rank"] - named["gaussian"] == {"rank"}
    assert named["gaussian"] <= named["low-rank"]
