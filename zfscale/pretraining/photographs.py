"""Pieces of photographs that Debian ships as backgrounds, each a class of its own: what vit-mini knows of colour."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zfscale.errors import DataError

PACKAGES = ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "mate-backgrounds", "ukui-wallpapers")
AGAIN = ("Elephants_", "MATE-Stripes", "Stripes", "Ubuntu-Mate")  # other sizes or colours of one picture
ACROSS = 320  # pixels of a photograph's shorter side, after it is brought to size
SIDE = 64  # pixels of a piece


def pieces() -> np.ndarray:
    """uint8 [N, 4, SIDE, SIDE], red, green, blue and full opacity: every photograph cut up without overlap.

    Errors: DataError if a package is missing.
    """
    found = np.concatenate([_cut(path) for path in sorted(set(_files()))])
    return np.concatenate([found, np.full_like(found[..., :1], 255)], -1).transpose(0, 3, 1, 2)


def _files() -> Iterator[Path]:
    """The pictures that the packages installed."""
    for package in PACKAGES:
        listed = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
        if listed.returncode:
            raise DataError(f"photographs are missing; run: apt-get install {' '.join(PACKAGES)}")
        paths = (Path(line) for line in listed.stdout.splitlines())
        files = (p for p in paths if p.suffix in (".jpg", ".png") and p.is_file())
        yield from (p.resolve() for p in files if not p.name.startswith(AGAIN))


def _cut(path: Path) -> np.ndarray:
    """uint8 [n, SIDE, SIDE, 3]."""
    from PIL import Image

    with Image.open(path) as image:
        scale = ACROSS / min(image.size)
        size = tuple(round(side * scale) for side in image.size)
        x = np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    rows, columns = x.shape[0] // SIDE, x.shape[1] // SIDE
    grid = x[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2)
    return grid.reshape(-1, SIDE, SIDE, 3)
