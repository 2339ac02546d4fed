"""From uint8 images in memory to what a model takes, in batches, on the device.

Shapes: B batch, C channels, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's convert("L")


@dataclass(frozen=True)
class Pixels:
    """A model's input contract: side, channels, and its image processor's statistics (per channel).

    With a `zoom` above 1, an image is brought to so many times the side, of which the centre is what the model sees.
    """

    size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    zoom: float = 1.0

    @property
    def resized(self) -> int:
        """The side to which images are brought before the centre crop."""
        return round(self.size * self.zoom)

    def __call__(self, images: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """uint8 [B, C, H, W] of any size and 1 or 3 channels -> normalised [B, channels, size, size]."""
        x = images.to(torch.float32) / 255
        x = self._to_channels(x)
        side = self.resized
        if x.shape[-2:] != (side, side):
            x = F.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp_(0, 1)
        if side > self.size:
            start = (side - self.size) // 2
            x = x[..., start : start + self.size, start : start + self.size]
        mean = x.new_tensor(self.mean).view(1, -1, 1, 1)
        std = x.new_tensor(self.std).view(1, -1, 1, 1)
        return ((x - mean) / std).to(dtype)

    def save(self, out: Path) -> None:
        """Write the image processor's file of a model in the directory `out`."""
        from transformers.image_processing_base import ImageProcessingMixin

        stats = {"do_normalize": True, "image_mean": list(self.mean), "image_std": list(self.std), "size": self.size}
        if self.zoom != 1:
            stats |= {"size": {"shortest_edge": self.resized}, "do_center_crop": True, "crop_size": self.size}
        ImageProcessingMixin(**stats).save_pretrained(out)

    def _to_channels(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] == self.channels:
            return x
        if x.shape[1] == 1:
            return x.expand(-1, self.channels, -1, -1)
        assert x.shape[1] == 3
        assert self.channels == 1
        return (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
