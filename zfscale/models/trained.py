"""A module that is trained: which of its parameters, in which number format, and how forwards see them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zfscale.engine.deepspeed import shard_of, whole
from zfscale.engine.module_leaves import ModuleLeaves, trainable
from zfscale.engine.overlay import Overlay, Watch
from zfscale.engine.ranks import Ranks
from zfscale.errors import ModelError
from zfscale.models.front import Begun
from zfscale.models.precision import Precision


class Trained(nn.Module):
    """Base of the networks; `exact` names the prefix of parameters that always compute in the dtype they have."""

    exact = "head."

    def __init__(self, precision: Precision) -> None:
        super().__init__()
        self.precision = precision
        self.watch: Watch | None = None  # told what the forwards read, from the next `prepare` or `ready` on
        self.carried: dict[str, Any] = {}  # phase of training -> what its optimizer keeps for the next task, if it does
        self._overlay: Overlay | None = None
        self._trained: set[str] = set()  # names of parameters that were prepared for training at some time

    def prepare(self, example: torch.Tensor) -> tuple[ModuleLeaves, Overlay]:
        """What is trained from here on: the leaves that a loss reaches, and the hooks through which forwards see them.

        A forward of `example`, one input, finds the parameters that no loss reaches: they are frozen. The hooks stay
        until the next call. Errors: ZfscaleError if there is nothing to train, ModelError if a parameter cannot be
        perturbed.
        """
        leaves, overlay = self._hook()
        with torch.enable_grad():
            reached = _reached(self(example))
        unread = overlay.unread()
        if missed := [leaf.name for leaf in leaves if id(leaf.parameter) in reached and leaf.name in unread]:
            raise ModelError(f"{missed[0]} is read outside its module's forward, where it cannot be perturbed")
        if unreached := [leaf for leaf in leaves if id(leaf.parameter) not in reached]:
            for leaf in unreached:
                leaf.parameter.requires_grad_(False)
                leaf.home.data = leaf.home.data.clone()  # no longer a view that keeps all the others alive
            leaves, overlay = self._hook()
        self._trained |= {leaf.name for leaf in leaves}
        return leaves, overlay

    def fingerprint(self, ranks: Ranks) -> str:
        """SHA-256, in hex, of all parameters that are there and have been trained; every rank has to ask for it."""
        sha = hashlib.sha256()
        for name, parameter in self.named_parameters():
            if name in self._trained:
                values = whole(parameter, ranks).detach().cpu().contiguous()
                sha.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
                sha.update(values.view(-1).view(torch.uint8).numpy().data)
        return sha.hexdigest()

    def ready(self) -> None:
        """Forwards before `prepare` compute in the same number formats as those after it."""
        self._hook()

    def begin(self, x: torch.Tensor) -> Begun | None:
        """What forwards of the inputs `x` can begin from as long as the same is trained, for their argument `begun`.

        It is made by what is frozen, so that several forwards of an input need it once; None if they begin at `x`.
        """
        return None

    def targets(self, labels: torch.Tensor) -> torch.Tensor:
        """What outputs are compared with: the labels as they are, where the network does not say otherwise."""
        return labels

    def save(self, out: Path) -> None:
        """Write the model to a directory that `from_pretrained` reads."""
        raise NotImplementedError

    def freeze(self) -> None:
        """From here on nothing present is trainable; what is added later is."""
        self.requires_grad_(False)
        self._store()

    def _hook(self) -> tuple[ModuleLeaves, Overlay]:
        if self._overlay is not None:
            self._overlay.remove()
        self._store()
        leaves = trainable(self, lambda name: None if name.startswith(self.exact) else self.precision.compute, shard_of)
        self._overlay = Overlay(self, leaves, self.watch)
        return leaves, self._overlay

    def _store(self) -> None:
        """Every parameter in the dtype it is kept in."""
        for parameter in self.parameters():
            dtype = self.precision.trained if parameter.requires_grad else self.precision.frozen
            shard = shard_of(parameter)
            home = parameter if shard is None else shard.home
            home.data = home.data.to(dtype)


def _reached(output: torch.Tensor) -> set[int]:
    """Ids of the parameters that `output` depends on, from the graph of its forward; no backward runs."""
    found: set[int] = set()
    seen, todo = set(), [output.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):  # AccumulateGrad: the leaf itself
            found.add(id(node.variable))
        todo.extend(parent for parent, _ in node.next_functions)
    return found
