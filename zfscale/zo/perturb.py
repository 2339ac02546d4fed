"""Exact perturbation: a forward at other weights than the model's, which are never written.

While `Perturbation.at(value)` is open, every trainable leaf is replaced, for the forward of the module that reads it
and no longer, by the tensor `value(leaf)`. So there is nothing to restore, no rounding drift in any dtype, and only
the leaves of the modules in progress exist twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from zfscale.zo.leaves import Leaf, Leaves

Value = Callable[[Leaf], torch.Tensor]
Slot = tuple[nn.Module, str, Leaf]  # the attribute of a module that holds the leaf


class Perturbation:
    """Hooks on the modules that own the leaves. Create once for a (module, leaves) pair, `remove` when done."""

    def __init__(self, module: nn.Module, leaves: Leaves) -> None:
        self._value: Value | None = None
        self._slots = _slots(module, leaves)
        self._handles: list[Any] = []
        for reader in self._slots:
            self._handles.append(reader.register_forward_pre_hook(self._replace))
            self._handles.append(reader.register_forward_hook(self._put_back))

    @contextmanager
    def at(self, value: Value) -> Iterator[None]:
        """Forwards inside run with leaf -> value(leaf); the value has the parameter's shape and dtype."""
        assert self._value is None, "perturbations do not nest"
        self._value = value
        try:
            yield
        finally:
            self._value = None
            for reader in self._slots:  # a forward that raised has not run its put-back hook
                self._restore(reader)

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()

    def _replace(self, reader: nn.Module, _inputs: Any) -> None:
        if self._value is not None:
            for owner, attribute, leaf in self._slots[reader]:
                owner._parameters[attribute] = self._value(leaf)  # type: ignore[assignment]

    def _put_back(self, reader: nn.Module, _inputs: Any, _output: Any) -> None:
        if self._value is not None:
            self._restore(reader)

    def _restore(self, reader: nn.Module) -> None:
        for owner, attribute, leaf in self._slots[reader]:
            owner._parameters[attribute] = leaf.parameter


def _slots(module: nn.Module, leaves: Leaves) -> dict[nn.Module, list[Slot]]:
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
