"""The correctly rounded square root, and rounding to 16 bits that is right on average."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zfscale.zo.exact import divide, sqrt, stochastic_round

HALVES = [torch.bfloat16, torch.float16]


def random_floats(count: int, seed: int = 0) -> torch.Tensor:
    """Non-negative float32 of every exponent, subnormals too."""
    bits = np.random.default_rng(seed).integers(0, 0x7F800000, count).astype(np.int32)
    return torch.from_numpy(bits.view(np.float32).copy())


def test_sqrt_is_correctly_rounded():
    """A float64 square root lies within half of the 53rd bit: which of two float32 numbers is nearer follows."""
    x = torch.cat([random_floats(1_000_000), torch.arange(5000.0), torch.arange(5000.0) ** 2])
    got = sqrt(x).numpy()
    exact = np.sqrt(x.numpy().astype(np.float64))
    error = np.abs(got.astype(np.float64) - exact)
    for neighbour in (np.nextafter(got, np.float32(np.inf)), np.nextafter(got, np.float32(-np.inf))):
        assert (error <= np.abs(neighbour.astype(np.float64) - exact)).all()
    assert np.array_equal(got, np.sqrt(x.numpy()))  # IEEE 754 asks the same of numpy's
    assert sqrt(torch.tensor([0.0, math.inf])).tolist() == [0.0, math.inf]


def test_sqrt_does_not_depend_on_position():
    x = random_floats(10_000, seed=1)
    whole = sqrt(x)
    for start in range(20):
        for size in (1, 3, 7, 16, 33):
            parts = [sqrt(x[a : a + size]) for a in range(start, start + 10 * size, size)]
            assert torch.equal(torch.cat(parts), whole[start : start + 10 * size])
    assert torch.equal(sqrt(x.flip(0)).flip(0), whole)


def every(dtype: torch.dtype) -> torch.Tensor:
    """All the numbers of a 16-bit dtype, NaNs apart."""
    numbers = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    return numbers[~numbers.isnan()]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2**-16])
def test_exact_values_stay(dtype, u):
    numbers = every(dtype)  # with both zeros, the subnormals and both infinities
    got = stochastic_round(numbers.float(), dtype, torch.full(numbers.shape, u))
    assert torch.equal(got.view(torch.int16), numbers.view(torch.int16))


@pytest.mark.parametrize("dtype", HALVES)
def test_what_is_not_finite_is_rounded_to_nearest(dtype):
    largest = torch.finfo(dtype).max
    x = torch.tensor([math.inf, -math.inf, 3.4e38, -3.4e38, largest * (1 + 2**-14), largest * (-1 - 2**-14)])
    for u in (0.0, 0.5):
        assert torch.equal(stochastic_round(x, dtype, torch.full(x.shape, u)), x.to(dtype))
    assert x.to(dtype).isfinite().tolist() == [False] * 4 + [True] * 2
    assert stochastic_round(torch.tensor([math.nan]), dtype, torch.zeros(1)).isnan().all()


@pytest.mark.parametrize("dtype", HALVES)
def test_the_result_is_one_of_the_two_neighbours(dtype):
    """Below and above x, as found by search among all the numbers of the dtype."""
    numbers = every(dtype)
    numbers = numbers[numbers.isfinite()].double().unique()
    x = random_floats(200_000, seed=2)
    x = torch.cat([x, -x, torch.randn(100_000, generator=torch.Generator().manual_seed(3))])
    x = x[(x.abs() <= float(numbers[-1]))]
    at = torch.searchsorted(numbers, x.double())  # numbers[at - 1] < x <= numbers[at]
    above, below = numbers[at], torch.where(numbers[at] == x, numbers[at], numbers[at - 1])
    seen = []
    for u in (0.0, 0.3, 0.7, 1 - 2**-16):
        got = stochastic_round(x, dtype, torch.full(x.shape, u)).double()
        assert ((got == above) | (got == below)).all()
        seen.append(got)
    assert (seen[0] != seen[-1]).float().mean() > 0.2


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("dtype", "value"), [(torch.bfloat16, 1.7), (torch.float16, 0.1), (torch.float16, 3e-8)])
def test_it_is_right_on_average(dtype, value, sign):
    """Over all of the 2^16 values of u: exactly where the share has 16 bits, as in bfloat16, else to within 2^-16."""
    x = torch.full((1 << 16,), sign * value)
    u = torch.arange(1 << 16) / (1 << 16)
    got = stochastic_round(x, dtype, u).double()
    low, high = float(got.min()), float(got.max())
    assert low < float(x[0]) < high
    tolerance = 0 if dtype == torch.bfloat16 else (high - low) * 2**-16
    assert abs(float(got.mean()) - float(x[0])) <= tolerance


@pytest.mark.parametrize("dtype", HALVES)
def test_steps_too_small_to_see_add_up(dtype):
    """1 - 2^-14, 1000 times: rounded to nearest, it stays 1."""
    g = torch.Generator().manual_seed(0)
    theta = torch.ones(2000).to(dtype)
    for _ in range(1000):
        theta = stochastic_round(theta.float() - 2**-14, dtype, torch.rand(2000, generator=g))
    spacing = torch.finfo(dtype).eps / 2  # below 1
    deviation = math.sqrt(1000 * 2**-14 * spacing)  # of one weight: steps of a spacing, each rarely taken
    assert abs(float(theta.double().mean()) - (1 - 1000 * 2**-14)) < 4 * deviation / math.sqrt(2000)
    assert float(torch.tensor(1 - 2**-14).to(dtype)) == 1


def test_a_quotient_is_that_of_two_numbers_of_the_dtype():
    """On the CPU torch's own, bit for bit, so that what was written before divisors became tensors replays."""
    x = random_floats(100_000, seed=4)
    x = x[x < 1e30]
    for by in (0.001, 0.1, 1 - 0.999**7, 3.0, 1e30):
        assert torch.equal(divide(x, by), x / by)
        assert np.array_equal(divide(x, by).numpy(), x.numpy() / np.float32(by))
        assert torch.equal(divide(x.double(), by), x.double() / by)
