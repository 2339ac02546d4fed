"""The one module a trial on images trains: encoder, adapters and head together, so that one engine runs them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from zfscale.models.adapters import Adapters
from zfscale.models.precision import PRECISIONS, Precision
from zfscale.models.trained import Trained
from zfscale.models.vit import Encoder


class Network(Trained):
    """uint8 images [B, C, H, W] -> logits [B, classes] in float32, or features [B, D] on request."""

    def __init__(
        self, encoder: Encoder, adapters: Adapters | None = None, precision: Precision = PRECISIONS["fp32"]
    ) -> None:
        super().__init__(precision)
        self.encoder = encoder
        self.adapters = adapters
        self.head: nn.Module | None = None
        encoder.dtype = precision.compute

    def forward(self, images: torch.Tensor, features: bool = False) -> torch.Tensor:
        f = self.encoder(images)
        if features:
            return f
        assert self.head is not None
        return self.head(f.float())

    def save(self, out: Path) -> None:
        """A directory for `from_pretrained`: the encoder and its image processor; adapters and head lie beside it."""
        from safetensors.torch import save_file

        backbone: Any = self.encoder.backbone
        backbone.save_pretrained(out)
        self.encoder.pixels.save(out)
        ours = {k: v.contiguous() for k, v in self.state_dict().items() if not k.startswith("encoder.")}
        save_file(ours, out / "zfscale.safetensors")
