"""Stage 2 of Algorithm 1: the descent direction h = direct(g), leaf by leaf.

Conserve, the third of the paper's directions, compares points rather than mapping g: it lives in `step`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Direct = Callable[[torch.Tensor], torch.Tensor]


def identity(g: torch.Tensor) -> torch.Tensor:
    """H = g."""
    return g


def sign(g: torch.Tensor) -> torch.Tensor:
    """H = sign(g), element-wise (ZO-signSGD, Liu et al. 2019)."""
    return torch.sign(g)
