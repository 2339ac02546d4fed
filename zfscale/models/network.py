"""The one module a trial trains: encoder, adapters and head together, so that one engine runs them all."""

from __future__ import annotations

import torch
from torch import nn

from zfscale.models.adapters import Adapters
from zfscale.models.precision import PRECISIONS, Precision
from zfscale.models.vit import Encoder
from zfscale.zo.leaves import Leaves, trainable
from zfscale.zo.perturb import Perturbation


class Network(nn.Module):
    """uint8 images [B, C, H, W] -> logits [B, classes] in float32, or features [B, D] on request."""

    def __init__(
        self, encoder: Encoder, adapters: Adapters | None = None, precision: Precision = PRECISIONS["fp32"]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.adapters = adapters
        self.head: nn.Module | None = None
        self.precision = precision
        encoder.dtype = precision.compute
        self._perturbation: Perturbation | None = None

    def forward(self, images: torch.Tensor, features: bool = False) -> torch.Tensor:
        f = self.encoder(images)
        if features:
            return f
        assert self.head is not None
        return self.head(f.float())

    def prepare(self, image: torch.Tensor) -> tuple[Leaves, Perturbation]:
        """What is trained from here on: the leaves that a loss reaches, and the hooks through which forwards see them.

        `image`, uint8 [1, C, H, W], finds the parameters that no loss reaches: they are frozen. The hooks stay until
        the next call. Errors: ZfscaleError if there is nothing to train.
        """
        leaves, perturbation = self._hook()
        with torch.enable_grad():
            reached = _reached(self(image))
        if unreached := [leaf for leaf in leaves if id(leaf.parameter) not in reached]:
            for leaf in unreached:
                leaf.parameter.requires_grad_(False)
            leaves, perturbation = self._hook()
        return leaves, perturbation

    def freeze(self) -> None:
        """From here on nothing present is trainable; what is added later is."""
        self.requires_grad_(False)
        self._store()

    def _hook(self) -> tuple[Leaves, Perturbation]:
        if self._perturbation is not None:
            self._perturbation.remove()
        self._store()
        leaves = trainable(self, lambda name: None if name.startswith("head.") else self.precision.compute)
        self._perturbation = Perturbation(self, leaves)
        return leaves, self._perturbation

    def _store(self) -> None:
        """Every parameter in the dtype it is kept in."""
        for parameter in self.parameters():
            dtype = self.precision.trained if parameter.requires_grad else self.precision.frozen
            parameter.data = parameter.data.to(dtype)


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
