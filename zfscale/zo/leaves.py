"""The trainable parameters as one flat vector: each leaf is a range of global element indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from zfscale.errors import ZfscaleError


@dataclass(frozen=True)
class Leaf:
    """One trainable parameter: elements start .. stop - 1 of the flat vector; `seen` is its dtype in a forward."""

    name: str
    parameter: nn.Parameter
    start: int
    seen: torch.dtype

    @property
    def stop(self) -> int:
        return self.start + self.parameter.numel()

    def cast(self) -> torch.Tensor:
        """The parameter as a forward sees it."""
        return self.parameter.to(self.seen)


class Leaves:
    """Leaves in the order given, which fixes the global index of every element, laid out in one tensor, `flat`.

    The parameters become views of `flat`, so that an update is a few operations on it, whatever the number of leaves.
    A parameter shared by two modules (tied weights) is one leaf under its first name. `seen` maps a name to the dtype
    of its leaf in a forward, where that is not its own. Errors: ZfscaleError if there is nothing to train, or if
    there are several dtypes.
    """

    def __init__(
        self, named: Iterable[tuple[str, nn.Parameter]], seen: Callable[[str], torch.dtype | None] | None = None
    ) -> None:
        self._leaves: list[Leaf] = []
        self.total = 0
        known: set[int] = set()
        for name, parameter in named:
            if id(parameter) not in known:
                known.add(id(parameter))
                dtype = (seen(name) if seen else None) or parameter.dtype
                self._leaves.append(Leaf(name, parameter, self.total, dtype))
                self.total += parameter.numel()
        if not self.total:
            raise ZfscaleError("there is nothing to train: no parameter requires a gradient")
        if len(kinds := {leaf.parameter.dtype for leaf in self._leaves}) > 1:
            raise ZfscaleError(f"trainable parameters must be of one dtype, got {', '.join(map(str, kinds))}")
        self.flat = self._lay_out()

    def _lay_out(self) -> torch.Tensor:
        """Move the leaves into one new tensor; the first time, each is freed as soon as it is copied."""
        first = self._leaves[0].parameter
        flat = torch.empty(self.total, dtype=first.dtype, device=first.device)
        for leaf in self._leaves:
            home = flat[leaf.start : leaf.stop].view(leaf.parameter.shape)
            leaf.parameter.data = home.copy_(leaf.parameter.data)
        return flat

    def __iter__(self) -> Iterator[Leaf]:
        return iter(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)

    @property
    def attached(self) -> bool:
        """Whether the parameters still are views of `flat`; a module moved to another device or dtype is not."""
        return self._leaves[0].parameter.data_ptr() == self.flat.data_ptr()  # what moves one leaf moves them all

    @property
    def device(self) -> torch.device:
        return self.flat.device


def trainable(module: nn.Module, seen: Callable[[str], torch.dtype | None] | None = None) -> Leaves:
    """The parameters of `module` that require a gradient, in `named_parameters` order."""
    return Leaves(((n, p) for n, p in module.named_parameters() if p.requires_grad), seen)
