"""Any division of the flat vector, in any order, takes the same steps bit for bit."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from toys import NAMES, Wide, bits, given, make, optimizer_of, problem_of, same, state, weights

from zfscale.zo.directions.base import Piece
from zfscale.zo.directions.sparse import Sparse
from zfscale.zo.estimate import Estimate
from zfscale.zo.step import Stepper

TOTAL = 20_510
COMBINATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "momentum and decay": ("zo-sgd", {"momentum": 0.9, "weight_decay": 0.05}),
    "neither": ("zo-sgd", {"momentum": 0.0}),
    "history": ("zo-sgd", {"history": 0.4}),
    "clip": ("zo-adam", {"clip": 1.0}),
    "sparsity": ("zo-adam", {"sparsity": 0.7}),
    "gaussian": ("zo-adamm", {"noise": "gaussian"}),
    "projected": ("zo-adam-sign", {"sign": "projected", "noise": "gaussian"}),
    "all": (
        "zo-adamm-sign",
        {"noise": "gaussian", "sparsity": 0.3, "history": 0.4, "clip": 2.0, "weight_decay": 0.05},
    ),
}


def cut(parts: int, seed: int) -> list[Piece]:
    """Uneven pieces of the whole, shuffled."""
    rng = random.Random(seed)
    ends = [0, *sorted(rng.sample(range(1, TOTAL), parts - 1)), TOTAL]
    pieces = [(ends[i], ends[i + 1]) for i in range(parts)]
    rng.shuffle(pieces)
    return pieces


def run(name: str, options: dict[str, Any], dtype: torch.dtype, parts: int | None) -> Stepper:
    """Four steps of three queries, one of them kept and one the other way."""
    mask = Sparse(5, options["sparsity"], TOTAL).mask if "sparsity" in options else None
    problem = problem_of(Wide(dtype), options.get("noise", "rademacher"), 3, mask)
    stepper = Stepper(optimizer_of(name, **options), problem)
    for t, accepted in enumerate((1, -1, 0, 1)):
        estimate = stepper._shaped(given(0.7, -2.3, 0.011, t=t))
        stepper.commit(estimate, 0.01 / (t + 1), accepted, t, cut(parts, t) if parts else None)
    return stepper


def check(name: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    expected = run(name, options, dtype, None)
    assert not torch.equal(expected.theta, weights(Wide(dtype)))
    for parts in (1, 2, 3, 7):
        got = run(name, options, dtype, parts)
        assert torch.equal(bits(got.theta), bits(expected.theta)), parts
        assert same(state(got), state(expected)), parts
        assert got.taken == expected.taken == 3


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer(name):
    check(name, {"weight_decay": 0.01}, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_combinations(combination, dtype):
    check(*COMBINATIONS[combination], dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_formats(dtype):
    check(*COMBINATIONS["all"], dtype)


@pytest.mark.parametrize("name", ["zo-sgd", "zo-adamm"])
def test_a_shard_alone_writes_its_own_elements(name):
    """As a rank does that holds one range; a rank may also hold none."""
    options = {"weight_decay": 0.05, "history": 0.4}
    whole = run(name, options, torch.float32, None)
    before = weights(Wide())
    for start, stop in ((0, 33), (33, 20_001), (20_001, TOTAL)):
        _, stepper = make(name, net=Wide(), **options)
        for t, accepted in enumerate((1, -1, 0, 1)):
            stepper.commit(given(0.7, -2.3, 0.011, t=t), 0.01 / (t + 1), accepted, t, [(start, stop)])
        assert torch.equal(stepper.theta[start:stop], whole.theta[start:stop])
        assert torch.equal(stepper.theta[:start], before[:start])
        assert torch.equal(stepper.theta[stop:], before[stop:])
        for key, value in state(stepper).items():
            assert torch.equal(value[start:stop], state(whole)[key][start:stop])
            assert not value[:start].any()
            assert not value[stop:].any()


def test_a_shard_of_nothing_writes_nothing():
    _, stepper = make("zo-sgd", net=Wide())
    before = weights(Wide())
    stepper.commit(given(1.0), 0.1, 1, 0, [])
    assert torch.equal(stepper.theta, before)
    assert stepper.taken == 1


def test_the_gradient_of_a_shard_is_a_slice_of_the_whole():
    problem = problem_of(Wide(), "gaussian", 3)
    estimate: Estimate = given(0.7, -2.3, 0.011)
    whole = estimate.gradient(problem, 0, TOTAL)
    for start, stop in cut(7, 1):
        assert torch.equal(estimate.gradient(problem, start, stop), whole[start:stop])
