"""Encoded images for the tests of every loader: one picture, as files of many kinds hold it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2


def noise(seed: int, size: tuple[int, int] = (12, 12), channels: int = 3) -> np.ndarray:
    """uint8 [H, W, C], or [H, W] of one channel."""
    shape = (size[1], size[0], channels) if channels > 1 else (size[1], size[0])
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def tiff(samples: np.ndarray, **tags: Any) -> bytes:
    """A TIFF of one channel, with tags by number: _281=4095."""
    info = ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[int(tag[1:])] = value
    return encoded(Image.fromarray(samples), "TIFF", tiffinfo=info)


def rotated(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """Pixels that are upright once they are turned by 90 degrees, as EXIF says they are to be."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90), kind, exif=exif.tobytes())


def palette(pixels: np.ndarray) -> bytes:
    return encoded(Image.fromarray(pixels).quantize(16))
