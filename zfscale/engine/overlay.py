"""Exact perturbation: a forward at other weights than the model's, which are never written.

While `Overlay.at(value)` is open, every trainable leaf is replaced, for the forward of the module that reads it
and no longer, by the tensor `value(leaf)`. So there is nothing to restore, no rounding drift in any dtype, and only
the leaves of the modules in progress exist twice.

Of a leaf that ZeRO-3 divides over ranks, `value(leaf)` is this rank's shard: it is in place of the kept one while
DeepSpeed gathers. So each rank makes its share of the noise, and what is gathered is a scratch copy, dropped when the
module is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from zfscale.engine.module_leaves import ModuleLeaf, ModuleLeaves

Value = Callable[[ModuleLeaf], torch.Tensor]
Watch = Callable[[ModuleLeaf, torch.Tensor], None]  # a leaf, and what a forward has read in its place
Slot = tuple[nn.Module, str, ModuleLeaf]  # the attribute of a module that holds the leaf


class Overlay:
    """Hooks on the modules that own the leaves. Create once for a (module, leaves) pair, `remove` when done.

    Outside `at`, a leaf that forwards see in another dtype than its own is replaced by its cast, so that every forward
    of the module, perturbed or not, computes in the same dtypes; autograd goes through the cast. `watch` is told what
    every forward reads, which a penalty on weights needs.
    """

    def __init__(self, module: nn.Module, leaves: ModuleLeaves, watch: Watch | None = None) -> None:
        self._value: Value | None = None
        self._release: Callable[[torch.Tensor], None] | None = None
        self._slots = _slots(module, leaves)
        self._kept = leaves.flat
        self._replaced: dict[str, nn.Module] = {}  # name of a shard that is replaced -> by which reader
        self._read: set[nn.Module] = set()
        self._handles: list[Any] = []
        for reader in self._slots:  # shards are replaced before the hooks that gather them
            self._handles.append(reader.register_forward_pre_hook(self._replace, prepend=leaves.sharded))
            if watch is not None:
                self._handles.append(reader.register_forward_hook(partial(self._show, watch)))
            self._handles.append(reader.register_forward_hook(self._put_back))

    @contextmanager
    def at(self, value: Value, release: Callable[[torch.Tensor], None] | None = None) -> Iterator[None]:
        """Forwards inside run with leaf -> value(leaf), of its home's shape and the dtype forwards see.

        `release` is given each of these tensors back when its module is done with it.
        """
        assert self._value is None, "overlays do not nest"
        self._value, self._release = value, release
        try:
            yield
        finally:
            for reader in self._slots:  # a forward that raised has not run its put-back hook
                self._put_back(reader)
            self._value = self._release = None

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()

    def unread(self) -> set[str]:
        """Names of the leaves that no forward has read through a module that owns them."""
        read = {leaf.name for reader in self._read for *_, leaf in self._slots[reader]}
        return {leaf.name for slots in self._slots.values() for *_, leaf in slots} - read

    def _replace(self, reader: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """NOTE: transformers' ViTs cast pixels to the dtype of the weight they find, the master's: cast them again."""
        self._read.add(reader)
        cast = None
        for owner, attribute, leaf in self._slots[reader]:
            other = leaf.seen != (self._kept if leaf.sharded else leaf.parameter).dtype
            if leaf.name not in self._replaced and (self._value is not None or other):
                value = leaf.cast() if self._value is None else self._value(leaf)
                if leaf.sharded:
                    leaf.home.data, self._replaced[leaf.name] = value, reader
                else:
                    owner._parameters[attribute] = value  # type: ignore[assignment]
            if other:
                cast = leaf.seen
        return None if cast is None else tuple(_cast(x, cast) for x in inputs)

    def _show(self, watch: Watch, reader: nn.Module, _inputs: Any, _output: Any) -> None:
        for owner, attribute, leaf in self._slots[reader]:
            watch(leaf, getattr(owner, attribute))

    def _put_back(self, reader: nn.Module, _inputs: Any = None, output: Any = None) -> None:
        for owner, attribute, leaf in self._slots[reader]:
            replaced = self._restore(reader, owner, attribute, leaf)
            if replaced is not None and self._release is not None and not _shares(output, replaced):
                self._release(replaced)

    def _restore(self, reader: nn.Module, owner: nn.Module, attribute: str, leaf: ModuleLeaf) -> torch.Tensor | None:
        """What was in the leaf's place while `reader` ran, if anything; the leaf is back."""
        if leaf.sharded:
            if self._replaced.get(leaf.name) is not reader:
                return None
            del self._replaced[leaf.name]
            replaced, leaf.home.data = leaf.home.data, leaf.of(self._kept)
            return replaced
        found = owner._parameters[attribute]
        if found is leaf.parameter:
            return None
        owner._parameters[attribute] = leaf.parameter
        return found


class Scratch:
    """Memory for the leaves in use: a tensor is taken when a module starts and given back when it ends.

    So a forward needs as much as the modules in progress own, the largest leaf in the main, and no page is new twice.
    """

    def __init__(self) -> None:
        self._free: list[torch.Tensor] = []

    def take(self, leaf: ModuleLeaf) -> torch.Tensor:
        """A flat tensor for the leaf, of the dtype that forwards see: the smallest free one that is large enough."""
        count = leaf.home.numel()
        fitting = [t for t in self._free if t.dtype == leaf.seen and t.numel() >= count]
        if fitting:
            best = min(fitting, key=torch.Tensor.numel)
            self._free = [t for t in self._free if t is not best]
            return best[:count]
        self._free = [t for t in self._free if t.numel() > count]  # a larger one takes the place of the smaller ones
        return torch.empty(count, dtype=leaf.seen, device=leaf.home.device)

    def give(self, tensor: torch.Tensor) -> None:
        """Take back what `take` gave, whatever view it is now."""
        storage = tensor.untyped_storage()
        whole = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(storage)
        self._free.append(whole)


def _slots(module: nn.Module, leaves: ModuleLeaves) -> dict[nn.Module, list[Slot]]:
    """Reader -> the slots it reads in its forward: its own attributes; a tied parameter is listed under every owner.

    NOTE: nn.MultiheadAttention reads the weights of its `out_proj`, whose forward, and so whose hooks, never run.
    """
    by_id = {id(leaf.parameter): leaf for leaf in leaves}
    slots: dict[nn.Module, list[Slot]] = {}
    readers = {m.out_proj: m for m in module.modules() if isinstance(m, nn.MultiheadAttention)}
    for owner in module.modules():
        mine = [(owner, a, by_id[id(p)]) for a, p in owner._parameters.items() if id(p) in by_id]
        if mine:
            slots.setdefault(readers.get(owner, owner), []).extend(mine)  # type: ignore[call-overload]
    return slots


def _cast(x: Any, dtype: torch.dtype) -> Any:
    return x.to(dtype) if isinstance(x, torch.Tensor) and x.is_floating_point() else x


def _shares(output: Any, tensor: torch.Tensor) -> bool:
    """Whether any tensor in a module's output lies in the memory of `tensor`, as where a module returns its weight."""
    if isinstance(output, torch.Tensor):
        return output.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    if isinstance(output, Mapping):
        output = tuple(output.values())
    return isinstance(output, (tuple, list)) and any(_shares(part, tensor) for part in output)
