"""A matrix-wise update: the past of h, orthogonalised; a vector takes its sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch


@dataclass(frozen=True)
class Spectral:
    """M <- decay M + h; step = lr U V^T of M = U S V^T. Its state is a tuple, one a leaf, of nobody else's business."""

    unit: ClassVar[str] = "leaf"
    decay: float = 0.5

    def init(self, theta: torch.Tensor) -> Any:
        return (torch.zeros_like(theta, dtype=torch.float32),)

    def apply(self, theta: torch.Tensor, h: torch.Tensor, state: Any, lr: float, t: int) -> tuple[torch.Tensor, Any]:
        m = state[0] * self.decay + h
        if m.ndim < 2:
            return torch.sign(m) * lr, (m,)
        u, _, v = torch.linalg.svd(m.flatten(1).double(), full_matrices=False)
        return ((u @ v).view(m.shape) * lr).to(m.dtype), (m,)

    def reverse(self, state: Any) -> Any:
        return (-state[0],)
