"""Random changes of drawings and pictures, in batches: pen, shape, colour. A batch is a function of its generator.

Shapes: B batch, S side of a source in pixels; results are uint8 [B, 3, 28, 28].
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

SIDE = 28
KNOTS = 5  # of the elastic field, a side


def thin(ink: np.ndarray) -> np.ndarray:
    """The strokes of bool [N, S, S] one pixel wide (Zhang and Suen, CACM 27(3), 1984); bool of the same shape."""
    found = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    while True:
        before = found.copy()
        for odd in (True, False):
            found &= ~_removable(found, odd)
        if np.array_equal(before, found):
            return found[:, 1:-1, 1:-1]


def _removable(ink: np.ndarray, odd: bool) -> np.ndarray:
    """Pixels of a contour that Zhang and Suen's odd or even pass takes away; `ink` has an empty border."""
    around = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
    p = [np.roll(ink, (-dy, -dx), (1, 2)) for dy, dx in around]
    neighbours = np.sum(p, 0, dtype=np.int8)
    rises = np.sum([~a & b for a, b in zip(p, p[1:] + p[:1], strict=True)], 0, dtype=np.int8)
    north, east, south, west = p[0], p[2], p[4], p[6]
    ends = ~(north & east & south) & ~(east & south & west) if odd else ~(north & east & west) & ~(north & south & west)
    return ink & (neighbours >= 2) & (neighbours <= 6) & (rises == 1) & ends


class Distortion:
    """Draws of one generator; `strength` 0..1 scales every change of shape, so that an easy start is possible."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self.strength = 1.0
        self.plain = 1.0
        self.blurred = 0.25

    def characters(
        self, filled: torch.Tensor, strokes: torch.Tensor, scale: tuple[float, float] = (0.6, 1.12)
    ) -> torch.Tensor:
        """Printed characters uint8 [B, S, S] and their strokes, one pixel wide, bool: by pen or as printed.

        A share of them, `blurred`, are as a few pixels brought to size.
        """
        ink = self._pen(filled.float() / 255, strokes.float())
        ink = self._warped(ink[:, None], rotate=0.35, scale=scale, elastic=0.11)
        return self._coloured(self._blurred(ink)[:, 0])

    def pictures(self, images: torch.Tensor, scale: tuple[float, float]) -> torch.Tensor:
        """Pictures uint8 [B, 4, S, S] (red, green, blue, opacity) on a ground, mirrored or not, in other light.

        The ground is a colour, or the middle of another picture of the batch.
        """
        layers = self._warped(images.float() / 255, rotate=0.25, scale=scale, elastic=0.04)
        n = len(layers)
        layers = torch.where(self._chance(n, 0.5).view(-1, 1, 1, 1), layers.flip(3), layers)
        x, opacity = layers[:, :3], layers[:, 3:]
        plain = torch.rand(n, 3, 1, 1, generator=self._generator).expand(-1, -1, SIDE, SIDE)
        middle = images[torch.randperm(n, generator=self._generator), :3, 12:28, 12:28].float() / 255
        other = F.interpolate(middle, (SIDE, SIDE), mode="bilinear")
        ground = torch.where(self._chance(n, 0.4).view(-1, 1, 1, 1), other, plain)
        x = x * opacity + ground * (1 - opacity)
        gain, tint = self._uniform(n, 0.7, 1.3), 1 + 0.15 * self._normal(n, 3)
        mean = x.mean((1, 2, 3), keepdim=True)
        x = (x - mean) * self._uniform(n, 0.7, 1.3).view(-1, 1, 1, 1) + mean * gain.view(-1, 1, 1, 1)
        x = x * tint.view(-1, 3, 1, 1)
        grey = x.mean(1, keepdim=True).expand_as(x)
        return _bytes(torch.where(self._chance(n, 0.15).view(-1, 1, 1, 1), grey, x))

    def greys(self, images: torch.Tensor) -> torch.Tensor:
        """Grey pictures uint8 [B, S, S], of an empty ground, in other shapes; now and then in colour."""
        x = self._warped(images[:, None].float() / 255, rotate=0.25, scale=(0.6, 1.1), elastic=0.04)[:, 0]
        return self._coloured(x, plain=0.85)

    def _blurred(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 1, 28, 28]: some of it through 7 to 14 pixels a side and back."""
        few = int(torch.randint(7, 15, (), generator=self._generator))
        chosen = self._chance(len(x), self.blurred)
        small = F.interpolate(x[chosen], (few, few), mode="area")
        x[chosen] = F.interpolate(small, (SIDE, SIDE), mode="bilinear")
        return x

    def _pen(self, filled: torch.Tensor, strokes: torch.Tensor) -> torch.Tensor:
        """[B, S, S]: a third as printed, a third bolder or finer, a third redrawn with a pen of 1, 2 or 3 pixels."""
        n = len(filled)
        wider = {k: F.max_pool2d(strokes, k, 1, k // 2)[:, : filled.shape[1], : filled.shape[2]] for k in (2, 3)}
        five = F.max_pool2d(wider[3], 2, 1, 1)[:, : filled.shape[1], : filled.shape[2]]
        bold = F.max_pool2d(filled, 3, 1, 1)
        fine = -F.max_pool2d(-filled, 2, 1, 1)[:, : filled.shape[1], : filled.shape[2]]
        fine = torch.where(fine.amax((1, 2), keepdim=True) > 0.5, fine, filled)
        choice = torch.multinomial(
            torch.tensor([0.3, 0.1, 0.1, 0.1, 0.15, 0.25]), n, replacement=True, generator=self._generator
        )
        out = filled.clone()
        for i, other in enumerate((bold, fine, wider[2], wider[3], five), start=1):
            out[choice == i] = other[choice == i]
        return out

    def _warped(self, x: torch.Tensor, rotate: float, scale: tuple[float, float], elastic: float) -> torch.Tensor:
        """[B, C, S, S] -> [B, C, 28, 28] through a random affine map and a smooth random field."""
        n, s = len(x), self.strength
        angle, shear = self._uniform(n, -rotate, rotate) * s, self._uniform(n, -0.35, 0.35) * s
        low, high = 1 + (scale[0] - 1) * s, 1 + (scale[1] - 1) * s
        zoom = 1 / self._uniform(n, low, high)
        stretch = torch.exp(0.15 * s * self._normal(n))
        cos, sin = torch.cos(angle), torch.sin(angle)
        shift = self._uniform(2 * n, -0.18, 0.18).view(2, n) * s
        theta = torch.stack(
            [
                torch.stack([zoom * stretch * cos, zoom * stretch * (shear * cos - sin), shift[0]], 1),
                torch.stack([zoom / stretch * sin, zoom / stretch * (shear * sin + cos), shift[1]], 1),
            ],
            1,
        )
        grid = F.affine_grid(theta, [n, 1, SIDE, SIDE], align_corners=False)
        amount = elastic * s * self._uniform(n, 0, 1.6).view(-1, 1, 1, 1)
        field = F.interpolate(self._normal(n, 2, KNOTS, KNOTS), (SIDE, SIDE), mode="bicubic", align_corners=True)
        grid = grid + (amount * field).permute(0, 2, 3, 1)
        return F.grid_sample(x, grid, align_corners=False)

    def _coloured(self, ink: torch.Tensor, plain: float | None = None) -> torch.Tensor:
        """Ink [B, H, W] of 0..1 as uint8 [B, 3, H, W]: white on black, black on white, or two colours far apart."""
        n = len(ink)
        plain = self.plain if plain is None else plain
        ink = (ink * self._uniform(n, 0.8, 1.6).view(-1, 1, 1)).clamp(0, 1)
        ground, colour = torch.zeros(n, 3), torch.ones(n, 3)
        kind = torch.rand(n, generator=self._generator)
        dark, other = kind < 0.6 * (1 - plain), kind > 1 - 0.4 * (1 - plain)
        ground[dark], colour[dark] = 1.0, 0.0
        a, b = torch.rand(n, 3, generator=self._generator), torch.rand(n, 3, generator=self._generator)
        apart = (a - b).norm(dim=1, keepdim=True)
        b = torch.where(apart < 0.5, 1 - a.round(), b)
        ground[other], colour[other] = a[other], b[other]
        x = ground[:, :, None, None] + (colour - ground)[:, :, None, None] * ink[:, None]
        return _bytes(x + 0.03 * self._normal(n, 1, *ink.shape[1:]) * self._chance(n, 0.3).view(-1, 1, 1, 1))

    def _uniform(self, n: int, low: float, high: float) -> torch.Tensor:
        return torch.rand(n, generator=self._generator) * (high - low) + low

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self._generator)

    def _chance(self, n: int, p: float) -> torch.Tensor:
        return torch.rand(n, generator=self._generator) < p


def _bytes(x: torch.Tensor) -> torch.Tensor:
    return (x * 255).round_().clamp_(0, 255).to(torch.uint8)
