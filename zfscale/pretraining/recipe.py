"""How the embedded models are optimised: AdamW, linear warm-up, then cosine to 0."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


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


def averaged(
    module: nn.Module, loss_of: Callable[[int], torch.Tensor], steps: int, lr: float, weight_decay: float, decay: float
) -> Any:
    """Minimise the loss of each step, from 0 on; warm-up over 5 % of them. Returns the average of the weights (EMA)."""
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay))
    optimizer, schedule = adamw(module, lr, weight_decay, steps, warm=max(1, steps // 20))
    module.train()
    start = time.perf_counter()
    for step in range(steps):
        loss = loss_of(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(module)
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step + 1}/{steps}: loss {loss.item():.4f}, {time.perf_counter() - start:.0f} s", flush=True)
    return average.module
