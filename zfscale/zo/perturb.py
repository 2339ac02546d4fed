"""Exact perturbation: a forward at other weights than the model's, which are never written.

While `Perturbation.at(value)` is open, every trainable leaf is replaced, for the forward of the module that owns it
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


class Perturbation:
    """Hooks on the modules that own the leaves. Create once for a (module, leaves) pair, `remove` when done."""

    def __init__(self, module: nn.Module, leaves: Leaves) -> None:
        self._value: Value | None = None
        self._owned = _owners(module, leaves)
        self._handles: list[Any] = []
        for owner in self._owned:
            self._handles.append(owner.register_forward_pre_hook(self._replace))
            self._handles.append(owner.register_forward_hook(self._put_back))

    @contextmanager
    def at(self, value: Value) -> Iterator[None]:
        """Forwards inside run with leaf -> value(leaf); the value has the parameter's shape and dtype."""
        assert self._value is None, "perturbations do not nest"
        self._value = value
        try:
            yield
        finally:
            self._value = None
            for owner in self._owned:  # a forward that raised has not run its put-back hook
                self._restore(owner)

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()

    def _replace(self, owner: nn.Module, _inputs: Any) -> None:
        if self._value is not None:
            for attribute, leaf in self._owned[owner]:
                owner._parameters[attribute] = self._value(leaf)  # type: ignore[assignment]

    def _put_back(self, owner: nn.Module, _inputs: Any, _output: Any) -> None:
        if self._value is not None:
            self._restore(owner)

    def _restore(self, owner: nn.Module) -> None:
        for attribute, leaf in self._owned[owner]:
            owner._parameters[attribute] = leaf.parameter


def _owners(module: nn.Module, leaves: Leaves) -> dict[nn.Module, list[tuple[str, Leaf]]]:
    """Module -> its own attributes that are leaves; a tied parameter is listed under every owner."""
    by_id = {id(leaf.parameter): leaf for leaf in leaves}
    owned: dict[nn.Module, list[tuple[str, Leaf]]] = {}
    for owner in module.modules():
        mine = [(a, by_id[id(p)]) for a, p in owner._parameters.items() if id(p) in by_id]
        if mine:
            owned[owner] = mine
    return owned
