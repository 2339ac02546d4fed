"""Arithmetic whose every bit is defined, wherever and in however many pieces it is computed."""

from __future__ import annotations

import torch

ARITHMETIC = 2  # raised whenever noise or updates change in a bit: older ledgers then cannot be replayed


def sqrt(x: torch.Tensor) -> torch.Tensor:
    """The correctly rounded square root of float32; torch's own vector code may be off by one in the last place.

    No square root of a float32 lies within 2^-50 (relative) of the middle between two float32 numbers: a middle has
    25 bits, so its square differs from any 24-bit number. A double within two units of its last place rounds right.
    """
    return torch.sqrt(x.to(torch.float64)).to(x.dtype)


def divide(x: torch.Tensor, by: float) -> torch.Tensor:
    """The correctly rounded quotient of a tensor and a number, which is first rounded to the tensor's dtype.

    Of a Python number, CUDA would take the reciprocal and multiply by it, which rounds twice; of a tensor it does not.
    """
    return x / x.new_full((), by)


def stochastic_round(x: torch.Tensor, dtype: torch.dtype, u: torch.Tensor) -> torch.Tensor:
    """float32 `x` in a 16-bit `dtype`: of its two neighbours the one further from 0 with the probability of its share.

    `u` is uniform in [0, 1). E[result] = x, so a sum of steps smaller than the dtype's spacing is not lost (Croci et
    al. 2022). Exact values stay; what is not finite in `dtype` is rounded to nearest.
    """
    nearest = x.to(dtype)
    back = nearest.to(torch.float32)
    bits = nearest.view(torch.int16)  # sign and magnitude: the next number away from 0 is one more
    other = (bits + torch.where(x.abs() > back.abs(), 1, -1).to(torch.int16)).view(dtype)
    share = (x - back).abs() / (other.to(torch.float32) - back).abs()
    take = (u < share) & (x != back) & back.isfinite() & other.to(torch.float32).isfinite()
    return torch.where(take, other, nearest)
