"""The trainable parameters of a torch module as leaves of one flat vector, whole or divided over ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from zfscale.errors import ZfscaleError
from zfscale.zo.leaves import Leaf, Leaves


@dataclass(frozen=True)
class Shard:
    """What this process holds of a parameter that is divided over ranks: elements first .. last - 1 of `shape`.

    They are the first of the tensor `home` [n], from which forwards gather; the rest of it is padding.
    """

    home: torch.Tensor
    first: int
    last: int
    shape: torch.Size


@dataclass(frozen=True)
class ModuleLeaf(Leaf):
    """A leaf that is a parameter of a module; `seen` is its dtype in a forward.

    What is held of it here lies in `home`: the parameter itself, or this rank's shard of it.
    """

    parameter: nn.Parameter
    seen: torch.dtype
    home: torch.Tensor

    @property
    def sharded(self) -> bool:
        """Whether other ranks hold the rest of it."""
        return self.home is not self.parameter

    def of(self, flat: torch.Tensor) -> torch.Tensor:
        """The leaf's part of a tensor that is laid out as `Leaves.flat` is, in the shape of its home."""
        return flat[self.offset : self.offset + self.home.numel()].view(self.home.shape)

    def cast(self) -> torch.Tensor:
        """The parameter, or what is held of it, as a forward sees it."""
        return self.home.to(self.seen)


class ModuleLeaves(Leaves):
    """Parameters in the order given, which fixes the global index of every element, laid out in one tensor, `flat`.

    The leaves' homes become views of `flat`, so that an update is a few operations on it, whatever the number of
    leaves. A parameter shared by two modules (tied weights) is one leaf under its first name. `seen` maps a name to
    the dtype of its leaf in a forward, where that is not its own; `shard` finds what is held of a parameter that is
    divided, None for one that is not. Errors: ZfscaleError if there is nothing to train, or for several dtypes.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        seen: Callable[[str], torch.dtype | None] | None = None,
        shard: Callable[[nn.Parameter], Shard | None] | None = None,
    ) -> None:
        self._leaves: list[ModuleLeaf] = []
        total = size = 0
        known: set[int] = set()
        for name, parameter in named:
            if id(parameter) not in known:
                known.add(id(parameter))
                part = (shard(parameter) if shard else None) or _whole(parameter)
                start, stop = total, total + part.shape.numel()
                held = (start + part.first, start + part.last, size)
                dtype = (seen(name) if seen else None) or part.home.dtype
                self._leaves.append(ModuleLeaf(name, part.shape, start, stop, *held, parameter, dtype, part.home))
                total, size = stop, size + part.home.numel()
        if not total:
            raise ZfscaleError("there is nothing to train: no parameter requires a gradient")
        if len(kinds := {leaf.home.dtype for leaf in self._leaves}) > 1:
            raise ZfscaleError(f"trainable parameters must be of one dtype, got {', '.join(map(str, kinds))}")
        super().__init__(self._leaves, self._lay_out(size), any(leaf.sharded for leaf in self._leaves))

    def _lay_out(self, size: int) -> torch.Tensor:
        """Move the leaves' homes into one new tensor; the first time, each is freed as soon as it is copied."""
        first = self._leaves[0].home
        flat = torch.zeros(size, dtype=first.dtype, device=first.device)
        for leaf in self._leaves:
            held = leaf.last - leaf.first
            leaf.of(flat).view(-1)[:held] = leaf.home.data.view(-1)[:held]
            leaf.home.data = leaf.of(flat)
        return flat

    def __iter__(self) -> Iterator[ModuleLeaf]:
        return iter(self._leaves)

    @property
    def finite(self) -> bool:
        """Whether every weight that is held here is a number."""
        # The smallest or the largest is NaN or infinite if any is; no copy is made.
        return all(bool(bound.isfinite()) for leaf in self for bound in leaf.home.data.view(-1).aminmax())

    @property
    def attached(self) -> bool:
        """Whether the leaves still are views of `flat`; a module moved to another device or dtype is not."""
        return self._leaves[0].home.data_ptr() == self.flat.data_ptr()  # what moves one leaf moves them all


def _whole(parameter: nn.Parameter) -> Shard:
    return Shard(parameter, 0, parameter.numel(), parameter.shape)


def trainable(
    module: nn.Module,
    seen: Callable[[str], torch.dtype | None] | None = None,
    shard: Callable[[nn.Parameter], Shard | None] | None = None,
) -> ModuleLeaves:
    """The parameters of `module` that require a gradient, in `named_parameters` order."""
    return ModuleLeaves(((n, p) for n, p in module.named_parameters() if p.requires_grad), seen, shard)
