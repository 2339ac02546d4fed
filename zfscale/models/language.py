"""A language model as a trial trains it: all of it, adapters, or the parameters that a pattern names."""

from __future__ import annotations

import re
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zfscale.errors import ModelError
from zfscale.models.adapters import Adapters
from zfscale.models.precision import Precision
from zfscale.models.trained import Trained


class LanguageNetwork(Trained):
    """Token ids [B, T] -> logits [B, T - 1, V] in float32: at position t those of token t + 1."""

    def __init__(self, module: nn.Module, train: str, precision: Precision, seed: int) -> None:
        super().__init__(precision)
        self.module = module
        self.adapters: Adapters | None = None
        _select(self, train, seed)
        self._store()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.module(input_ids=tokens, use_cache=False).logits[:, :-1].float()

    @staticmethod
    def example_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean negative log-likelihood of each block [B], in nats a token, of logits [B, T, V] and labels [B, T].

        Labels of -100 do not count.
        """
        nll = F.cross_entropy(logits.flatten(0, 1), labels.flatten().long(), reduction="none").view(labels.shape)
        return nll.sum(1) / (labels != -100).sum(1)


def _select(network: LanguageNetwork, train: str, seed: int) -> None:
    """Make trainable what `model.train` says: full, adapter, or a pattern that parameter names contain.

    Errors: ModelError if that is nothing.
    """
    if train == "full":
        return
    module: Any = network.module
    module.requires_grad_(False)
    if train == "adapter":
        network.adapters = Adapters(module.base_model, 64, 0.1, 0.0)
        network.adapters.add(seed)
    else:
        named = [p for name, p in module.named_parameters() if re.search(train, name)]
        if not named:
            some = ", ".join(name for name, _ in list(module.named_parameters())[:3])
            raise ModelError(f"model.train: no parameter's name matches {train!r}; names are like {some}")
        for parameter in named:
            parameter.requires_grad_(True)
