"""The losses of an old and a new task as functions of two weights (ZeroFlow, arXiv 2501.01045).

    L1 = c1 f1 + c2 g1    the old task
    L2 = c1 f2 + c2 g2    the new task

Above t2 = 0 each loss is a plateau with a narrow valley; below, a wide bowl. L1 + L2 is least between the two bowls,
where both tasks are balanced. Start A lies beside the new task's bowl, start B beside the old task's valley, which
holds what follows L1 alone.

NOTE: the surface is that of CAGrad (Liu et al. 2021), which has tanh(-t2) + 2 in f2 with a plus sign and (-t2 - 8)^2
in g1 and g2; ZeroFlow prints the form used here. The bowls of both have the same t1, and t2 of -5 here, of -8 there.
"""

from __future__ import annotations

import torch

STARTS = {"A": (-8.5, -5.0), "B": (-4.0, 5.0)}
FLOOR = 5e-6  # keeps the logarithms finite at the bottom of a valley


def losses(theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(L1, L2) of weights (t1, t2) in the last dimension: [..., 2] -> [...] each; differentiable."""
    t1, t2 = theta.unbind(-1)
    upper, lower = torch.tanh(0.5 * t2).clamp(min=0), torch.tanh(-0.5 * t2).clamp(min=0)
    old = upper * _valley(0.5 * (-t1 - 7) - torch.tanh(-t2)) + lower * _bowl(t1, t2, 7)
    new = upper * _valley(0.5 * (-t1 + 3) - torch.tanh(-t2 + 2)) + lower * _bowl(t1, t2, -7)
    return old, new


def total(theta: torch.Tensor) -> torch.Tensor:
    """L1 + L2, what is trained on: [..., 2] -> [...]."""
    old, new = losses(theta)
    return old + new


def _valley(distance: torch.Tensor) -> torch.Tensor:
    """f1, f2: log-deep where the distance is 0."""
    return distance.abs().clamp(min=FLOOR).log() + 6


def _bowl(t1: torch.Tensor, t2: torch.Tensor, centre: float) -> torch.Tensor:
    """g1, g2: a parabola around t1 = centre."""
    return ((centre - t1) ** 2 + 0.1 * (t2 - 8) ** 2) / 10 - 20
