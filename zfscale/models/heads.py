"""Classifier heads on features [B, D]: linear (grows with the classes and the features) and cosine."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class LinearHead(nn.Module):
    """logits = W f + b [B, classes]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0, width))
        self.bias = nn.Parameter(torch.empty(0))

    def grow(self, classes: int, seed: int) -> None:
        """Rows for `classes` more classes, Kaiming-uniform (a = sqrt 5) from `seed`; the old rows stay."""
        width = self.weight.shape[1]
        bound = 1 / math.sqrt(width)
        generator = torch.Generator().manual_seed(seed)
        rows = torch.empty(classes, width).uniform_(-bound, bound, generator=generator)
        self.weight = nn.Parameter(torch.cat([self.weight.data, rows.to(self.weight)]))
        self.bias = nn.Parameter(torch.cat([self.bias.data, self.bias.new_zeros(classes)]))

    def widen(self, columns: int, seed: int) -> None:
        """Columns for as many further features, drawn likewise; the old columns and the biases stay."""
        classes, width = self.weight.shape
        bound = 1 / math.sqrt(width + columns)
        generator = torch.Generator().manual_seed(seed)
        more = torch.empty(classes, columns).uniform_(-bound, bound, generator=generator)
        self.weight = nn.Parameter(torch.cat([self.weight.data, more.to(self.weight)], 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.linear(features, self.weight.to(features.dtype), self.bias.to(features.dtype))

    def every(self, features: torch.Tensor) -> torch.Tensor:
        """Logits [B, all classes]: of one head, those of a forward."""
        return self(features)


class TaskHeads(nn.Module):
    """A linear head a task. A forward is the newest's alone, logits [B, its classes]; `every` is all of them.

    So the rows of old classes are in no loss while a new task trains: they are frozen, not perturbed or decayed.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList()
        self._width = width

    def grow(self, classes: int, seed: int) -> None:
        """A head for `classes` more classes, initialised from `seed`; those there are stay as they are."""
        self.heads.requires_grad_(False)
        head = LinearHead(self._width)
        head.grow(classes, seed)
        self.heads.append(head)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.heads[-1](features)

    def every(self, features: torch.Tensor) -> torch.Tensor:
        """Logits [B, all classes]."""
        return torch.cat([head(features) for head in self.heads], 1)


class AuxiliaryHead(LinearHead):
    """A linear head on features [B, T D], and at times another beside it on the last D of them (MEMO's auxiliary head).

    logits = [B, classes], followed by the outputs of the other one while it is attached.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.other: LinearHead | None = None
        self._width = width

    def attach(self, outputs: int, seed: int) -> None:
        """Begin to give `outputs` more logits, of a fresh head."""
        self.other = LinearHead(self._width)
        self.other.grow(outputs, seed)

    def detach(self) -> None:
        """End it."""
        self.other = None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits = super().forward(features)
        return logits if self.other is None else torch.cat([logits, self.other(features[:, -self._width :])], 1)


class CosineHead(nn.Module):
    """logits = sigma cos(f, w_c) [B, classes]; sigma learnable, `scale` at the start."""

    def __init__(self, width: int, classes: int, seed: int, scale: float = 1.0) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.empty(classes, width).uniform_(-bound, bound, generator=generator))
        self.sigma = nn.Parameter(torch.full((1,), scale))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.sigma * F.linear(F.normalize(features), F.normalize(self.weight.to(features.dtype)))
