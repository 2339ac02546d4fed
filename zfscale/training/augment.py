"""Augmentation of training images: random resized crops and horizontal flips, a function of the images and a seed.

Shapes: uint8 [B, C, H, W].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from zfscale.models.pixels import Pixels

ASPECT = 4 / 3  # width over height of a crop is between its inverse and this
ATTEMPTS = 10  # at a crop that lies within the image; then it is the largest centred one


@dataclass(frozen=True)
class Augment:
    """Random resized crop (Szegedy et al. 2015, "Going deeper with convolutions", section 6) and horizontal flip.

    A crop has a share of the image's area that is uniform in [`area`, 1] and a logarithm of its aspect ratio that is
    uniform between those of 3/4 and 4/3; it is resized bilinearly to the model's size. With `area` 1 images are not
    cropped; with `flip`, half of them are mirrored.

    NOTE: the benchmark crops image files; this crops the arrays that were read for the model, whose shorter side is the
    model's or, with `stream.transform: crop`, 8/7 of it, and of whose longer side the ends are cut off.
    """

    area: float
    flip: bool
    pixels: Pixels

    def __call__(self, images: np.ndarray, seed: int) -> np.ndarray:
        """The images of one step; those that are cropped have the side that `pixels` resizes to, and are cut by it."""
        draw = np.random.Generator(np.random.Philox(key=seed))
        if self.area < 1:
            images = np.stack([self._cropped(image, box(draw, *image.shape[1:], self.area)) for image in images])
        mirrored = draw.random(len(images)) < (0.5 if self.flip else 0.0)
        return np.where(mirrored[:, None, None, None], images[..., ::-1], images)

    def _cropped(self, image: np.ndarray, at: tuple[slice, slice]) -> np.ndarray:
        """The crop [C, S, S]: of the model's size, in a margin of its own edge that `pixels` cuts off again."""
        size, side = self.pixels.size, self.pixels.resized
        x = torch.from_numpy(np.ascontiguousarray(image[(slice(None), *at)]))[None].float()
        x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
        before = (side - size) // 2
        after = side - size - before
        x = F.pad(x, (before, after, before, after), mode="replicate")
        return x[0].round().clamp(0, 255).to(torch.uint8).numpy()


def box(draw: np.random.Generator, height: int, width: int, area: float) -> tuple[slice, slice]:
    """Rows and columns of a random crop of at least that share of an image, up to the rounding of its sides."""
    for _ in range(ATTEMPTS):
        pixels = height * width * draw.uniform(area, 1)
        aspect = math.exp(draw.uniform(-math.log(ASPECT), math.log(ASPECT)))
        h, w = round(math.sqrt(pixels / aspect)), round(math.sqrt(pixels * aspect))
        if 0 < h <= height and 0 < w <= width:
            top, left = int(draw.integers(height - h + 1)), int(draw.integers(width - w + 1))
            return slice(top, top + h), slice(left, left + w)
    h, w = min(height, round(width * ASPECT)), min(width, round(height * ASPECT))
    top, left = (height - h) // 2, (width - w) // 2
    return slice(top, top + h), slice(left, left + w)
