"""How the embedded models are optimised: AdamW, linear warm-up, then cosine to 0."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn


def adamw(
    module: nn.Module, lr: float, weight_decay: float, steps: int, warm: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """The optimizer of what requires a gradient, and its schedule: up in `warm` steps, down to 0 at `steps`.

    Only matrices decay, not gains and biases.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    matrices, gains = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": gains, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), weight_decay=weight_decay)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1, (s + 1) / warm) * 0.5 * (1 + math.cos(math.pi * s / steps))
    )
