"""A masked image model as a trial trains it.

Shapes: B images, C channels, S side, p side of a patch, L = (S / p)^2 patches, M of them hidden, P = p p C values of a
patch, row by row with the channels innermost; D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from zfscale.models.mim import MAE
from zfscale.models.pixels import Pixels
from zfscale.models.precision import Precision
from zfscale.models.pretrained import Pretrained


class MaskedImageNetwork(Pretrained):
    """uint8 [B, C + 1, S, S], the last channel 1 on hidden patches -> predictions of these [B, M, P] in float32.

    Predictions are in the units of `targets`. On request, features [B, D] of the whole image instead. The rest is as
    `Pretrained` has it.
    """

    def __init__(self, module: Any, pixels: Pixels, train: str, precision: Precision, seed: int, **lora: Any) -> None:
        super().__init__(module, train, precision, seed, **lora)
        self.pixels = pixels
        self.side: int = module.config.patch_size
        self.is_mae = module.config.model_type == MAE

    def forward(self, images: torch.Tensor, features: bool = False) -> torch.Tensor:
        pixels = self.pixels(images[:, :-1], self.precision.compute)
        if features:
            return self._features(pixels)
        hidden = images[:, -1, :: self.side, :: self.side].flatten(1).bool()  # [B, L]
        predicted = self._predict(pixels, hidden)  # [B, L, P]
        return predicted[hidden].view(len(images), -1, predicted.shape[-1]).float()

    def targets(self, labels: torch.Tensor) -> torch.Tensor:
        """uint8 [B, M, P] as the model predicts them: normalised as its inputs are.

        A ViTMAE with `norm_pix_loss` predicts each patch standardised by its own mean and variance.
        """
        values = labels.view(*labels.shape[:-1], -1, self.pixels.channels) / 255
        values = ((values - values.new_tensor(self.pixels.mean)) / values.new_tensor(self.pixels.std)).flatten(-2)
        if self.is_mae and self.module.config.norm_pix_loss:
            return (values - values.mean(-1, keepdim=True)) / (values.var(-1, keepdim=True) + 1e-6).sqrt()
        return values

    def example_losses(self, predicted: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean squared error of each image [B] over its hidden pixels.

        NOTE: the heads of ViT and DeiT come with a mean absolute error; what is compared here is squared everywhere.
        """
        return (predicted - self.targets(labels)).square().mean((1, 2))

    def save(self, out: Path) -> None:
        """The model and its image processor."""
        super().save(out)
        self.pixels.save(out)

    def _predict(self, pixels: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """[B, L, P] of pixels [B, C, S, S]; what is said of visible patches means nothing."""
        if not self.is_mae:
            return patches(self.module(pixels, bool_masked_pos=hidden).reconstruction, self.side)
        # ViTMAE keeps the patches that sort first: the visible ones, in their order.
        index = torch.arange(hidden.shape[1], device=hidden.device)
        seen = self.module.vit(pixels, noise=hidden * len(index) + index)
        return self.module.decoder(seen.last_hidden_state, seen.ids_restore).logits

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Mean of the encoder's patch tokens, nothing hidden."""
        encoder = self.module.base_model
        if self.is_mae:
            index = torch.arange((self.pixels.size // self.side) ** 2, device=pixels.device)
            with _nothing_hidden(encoder.embeddings.config):
                tokens = encoder(pixels, noise=index.expand(len(pixels), -1)).last_hidden_state
        else:
            tokens = encoder(pixels).last_hidden_state
        return tokens[:, -((self.pixels.size // self.side) ** 2) :].mean(1)


def patches(images: torch.Tensor, side: int) -> torch.Tensor:
    """[B, C, S, S] -> [B, L, P]."""
    b, channels, size, _ = images.shape
    cells = size // side
    grid = images.reshape(b, channels, cells, side, cells, side)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(b, cells * cells, side * side * channels)


@contextmanager
def _nothing_hidden(config: Any) -> Iterator[None]:
    """A ViTMAE's encoder sees every patch."""
    ratio = config.mask_ratio
    config.mask_ratio = 0.0
    try:
        yield
    finally:
        config.mask_ratio = ratio
