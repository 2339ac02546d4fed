"""A language model as a trial trains it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from zfscale.models.lm import read_tokenizer
from zfscale.models.precision import Precision
from zfscale.models.pretrained import Pretrained


class LanguageNetwork(Pretrained):
    """Token ids [B, T] -> logits in float32.

    Causal: [B, T - 1, V], at position t those of token t + 1. Masked: [B, T, V], at position t those of token t.

    `tokenizer`, as LanguageBase has it, is what `save` writes beside the model. The rest is as `Pretrained` has it.
    """

    def __init__(
        self,
        module: Any,
        train: str,
        precision: Precision,
        seed: int,
        masked: bool = False,
        tokenizer: str | None = None,
        **lora: Any,
    ) -> None:
        super().__init__(module, train, precision, seed, **lora)
        self.masked, self._tokenizer = masked, tokenizer

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.masked:
            return self.module(input_ids=tokens).logits.float()
        return self.module(input_ids=tokens, use_cache=False).logits[:, :-1].float()

    @staticmethod
    def example_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean negative log-likelihood of each block [B], in nats a token, of logits [B, T, V] and labels [B, T].

        Labels of -100 do not count.
        """
        nll = F.cross_entropy(logits.flatten(0, 1), labels.flatten().long(), reduction="none").view(labels.shape)
        return nll.sum(1) / (labels != -100).sum(1)

    def save(self, out: Path) -> None:
        """The model and its tokenizer."""
        super().save(out)
        if self._tokenizer:
            read_tokenizer(self._tokenizer).save_pretrained(out)
