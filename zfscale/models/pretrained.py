"""A transformers model as a trial trains it: all of it, adapters, LoRA, or the parameters that a pattern names."""

from __future__ import annotations

import re
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from zfscale.errors import ModelError
from zfscale.models import lora
from zfscale.models.adapters import Adapters
from zfscale.models.load import quiet
from zfscale.models.precision import Precision
from zfscale.models.trained import Trained


class Pretrained(Trained):
    """Base of the networks that go on with a model's own pretraining.

    `train` is full, adapter, lora (of `lora_rank` and `lora_alpha`), or a regular expression that the names of the
    parameters to train contain; `seed` initialises what is added. Errors: ModelError if nothing is left to train, or if
    the architecture cannot take what is to be added.
    """

    def __init__(
        self, module: Any, train: str, precision: Precision, seed: int, lora_rank: int = 8, lora_alpha: float = 16.0
    ) -> None:
        super().__init__(precision)
        self.module = module
        self.adapters: Adapters | None = None
        self._lora: Any = None  # peft's configuration
        if train == "lora":
            self._lora = lora.inject(module, lora_rank, lora_alpha, seed)
        elif train == "adapter":
            module.requires_grad_(False)
            self.adapters = Adapters(module.base_model, 64, 0.1, 0.0)
            self.adapters.add(seed)
        elif train != "full":
            _only(module, train)
        self._store()

    def save(self, out: Path) -> None:
        """Write the model for `from_pretrained(out)`, trained weights inside.

        What `from_pretrained` does not know lies beside it: LoRA in `out / "lora"`, for peft, over the untrained base;
        adapters of ours in `zfscale.safetensors`. Every weight is in the number format that it was kept in; where there
        are two, `from_pretrained` takes the wider for all, which loses nothing.
        """
        state = lora.base_state(self.module) if self._lora else None
        with quiet():
            self.module.save_pretrained(out, state_dict=state)
        self.module.config.dtype = reduce(torch.promote_types, {p.dtype for p in self.module.parameters()})
        self.module.config.save_pretrained(out)
        if self._lora:
            lora.save(self.module, self._lora, out / "lora")
        if self.adapters:
            ours = {f"adapters.{k}": v.contiguous() for k, v in self.adapters.state_dict().items()}
            save_file(ours, out / "zfscale.safetensors")


def _only(module: nn.Module, pattern: str) -> None:
    """Freeze all but the parameters whose name contains the pattern; a tied one goes by each of its names."""
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise ModelError(f"model.train: {pattern!r} is no regular expression: {error}") from error
    named = list(module.named_parameters(remove_duplicate=False))
    found = [parameter for name, parameter in named if wanted.search(name)]
    if not found:
        some = ", ".join(name for name, _ in named[:3])
        kinds = "full, adapter, lora, or a pattern of names"
        raise ModelError(f"model.train: no parameter's name matches {pattern!r}; allowed: {kinds} such as {some}")
    module.requires_grad_(False)
    for parameter in found:
        parameter.requires_grad_(True)
