"""Pieces of photographs that Debian ships as backgrounds, each a class of its own: what vit-mini knows of colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zfscale.data.pictures import tiles
from zfscale.pretraining.packages import installed

PACKAGES = ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "mate-backgrounds", "ukui-wallpapers")
AGAIN = ("Elephants_", "MATE-Stripes", "Stripes", "Ubuntu-Mate")  # other sizes or colours of one picture
ACROSS = 320  # pixels of a photograph's shorter side, after it is brought to size
SIDE = 64  # pixels of a piece


def pieces() -> np.ndarray:
    """uint8 [N, 4, SIDE, SIDE], red, green, blue and full opacity: every photograph cut up without overlap.

    Errors: DataError if a package is missing.
    """
    found = np.concatenate([_cut(path) for path in sorted(_files())])
    return np.concatenate([found, np.full_like(found[..., :1], 255)], -1).transpose(0, 3, 1, 2)


def _files() -> set[Path]:
    """The pictures that the packages installed, by their place, since some are links to others."""
    found = installed(PACKAGES, {".jpg", ".png"}, "photographs")
    return {path.resolve() for path in found if not path.name.startswith(AGAIN)}


def _cut(path: Path) -> np.ndarray:
    """uint8 [n, SIDE, SIDE, 3]."""
    from PIL import Image

    with Image.open(path) as image:
        scale = ACROSS / min(image.size)
        size = tuple(round(side * scale) for side in image.size)
        return tiles(np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS)), SIDE)
