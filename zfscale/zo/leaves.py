"""The trainable parameters as one flat vector: each leaf is a range of global element indices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Leaf:
    """One trainable parameter; its elements are start .. start + count - 1 of the flat vector."""

    name: str
    parameter: nn.Parameter
    start: int

    @property
    def count(self) -> int:
        return self.parameter.numel()


class Leaves:
    """Leaves in the order given, which fixes the global index of every element.

    A parameter shared by two modules (tied weights) is one leaf under its first name.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]]) -> None:
        self._leaves: list[Leaf] = []
        self.total = 0
        seen: set[int] = set()
        for name, parameter in named:
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            self._leaves.append(Leaf(name, parameter, self.total))
            self.total += parameter.numel()

    def __iter__(self) -> Iterator[Leaf]:
        return iter(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)

    def split(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Leaf name -> its part of a flat vector [>= total], a view in the leaf's shape."""
        parts = flat[: self.total].split([leaf.count for leaf in self._leaves])
        return {f.name: part.view(f.parameter.shape) for f, part in zip(self._leaves, parts, strict=True)}

    @property
    def device(self) -> torch.device:
        assert self._leaves, "no trainable parameters"
        return self._leaves[0].parameter.device


def trainable(module: nn.Module) -> Leaves:
    """The parameters of `module` that require a gradient, in `named_parameters` order."""
    return Leaves((n, p) for n, p in module.named_parameters() if p.requires_grad)
