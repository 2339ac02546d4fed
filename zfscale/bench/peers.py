"""The steps that others take, in float32, the one precision they know: MeZO, and the official ZeroFlow toolkit."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

LossOf = Callable[[torch.Tensor], torch.Tensor]  # logits -> scalar


class MeZO:
    """Algorithm 1 of MeZO (Malladi et al. 2023, arXiv 2305.17333): in place, z drawn again for each of four passes."""

    def __init__(self, module: nn.Module, loss: Callable[[], torch.Tensor], lr: float, eps: float) -> None:
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        self._loss, self._lr, self._eps = loss, lr, eps
        self._generator = torch.Generator(self._parameters[0].device)

    @torch.no_grad()
    def step(self, seed: int) -> float:
        """+eps, forward, -2 eps, forward, +eps, update; the projected gradient."""
        self._add(seed, self._eps)
        plus = float(self._loss())
        self._add(seed, -2 * self._eps)
        minus = float(self._loss())
        self._add(seed, self._eps)
        projected = (plus - minus) / (2 * self._eps)
        self._add(seed, -self._lr * projected)
        return projected

    def _add(self, seed: int, scale: float) -> None:
        """Theta <- theta + scale z(seed)."""
        self._generator.manual_seed(seed)
        for p in self._parameters:
            z = torch.normal(0.0, 1.0, p.shape, generator=self._generator, device=p.device, dtype=p.dtype)
            p.add_(z, alpha=scale)


def mezo(module: nn.Module, loss: Callable[[], torch.Tensor], lr: float, eps: float) -> Callable[[], float]:
    """MeZO's step, of a new seed at each call."""
    peer, seeds = MeZO(module, loss, lr, eps), itertools.count(1)
    return lambda: peer.step(next(seeds))


def infty(
    module: nn.Module, logits: Callable[[], torch.Tensor], loss_of: LossOf, base: torch.optim.Optimizer, eps: float
) -> Callable[[], Any]:
    """The step of infty's ZeroFlow, its defaults otherwise (two-sided, q = 1, z kept for the update), around `base`."""
    with contextlib.redirect_stdout(io.StringIO()):
        from infty.optim import ZeroFlow

        trained = [p for p in module.parameters() if p.requires_grad]
        peer = ZeroFlow(trained, base, module, {"inftyopt": "zo_sgd", "zo_eps": eps})

    def closure() -> tuple[torch.Tensor, list[torch.Tensor]]:
        out = logits()
        return out, [loss_of(out)]

    peer.set_closure(closure)
    return peer.step


def first_order(module: nn.Module, loss: Callable[[], torch.Tensor], lr: float, momentum: float) -> Callable[[], None]:
    """Forward, backward and torch's own SGD."""
    optimizer = torch.optim.SGD(module.parameters(), lr, momentum)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def loss_of(labels: torch.Tensor) -> LossOf:
    """The cross-entropy of logits."""
    return lambda logits: F.cross_entropy(logits, labels)
