"""The one module a trial on images trains: encoder, adapters and head together, so that one engine runs them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from zfscale.engine.module_leaves import ModuleLeaves
from zfscale.engine.overlay import Overlay
from zfscale.models.adapters import Adapters
from zfscale.models.copies import Copies
from zfscale.models.front import Begun, Front, front_of
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
        self.copies: Copies | None = None  # of a method that copies blocks
        self.head: nn.Module | None = None
        self._front: Front | None = None
        encoder.dtype = precision.compute

    def prepare(self, example: torch.Tensor) -> tuple[ModuleLeaves, Overlay]:
        self._front = None
        leaves, overlay = super().prepare(example)
        if not leaves.sharded:  # ZeRO-3 follows the order in which modules run
            self._front = front_of(self.encoder, self.copies, example)
        return leaves, overlay

    def begin(self, x: torch.Tensor) -> Begun | None:
        """See `Trained`; nothing where dropout makes what is frozen random."""
        if self._front is None or (self.training and _drops(self)):
            return None
        return self._front.run(x)

    def forward(self, images: torch.Tensor, features: bool = False, begun: Begun | None = None) -> torch.Tensor:
        if begun is None:
            f = self.encoder(images)
        else:
            assert self._front is not None
            f = self._front.resume(images, begun)
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


def _drops(network: Network) -> bool:
    """Whether train mode draws anything: dropout of a module's or, by its configuration, of the backbone's own."""
    config: Any = network.encoder.backbone.config
    own = any("drop" in key and isinstance(value, float) and value > 0 for key, value in config.to_dict().items())
    return own or any(isinstance(module, nn.Dropout) and module.p > 0 for module in network.modules())
