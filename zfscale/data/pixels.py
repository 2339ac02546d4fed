"""One image: its bytes in, 8-bit grey or RGB pixels out, upright. Every loader decodes with `decode`.

Rules: the EXIF orientation is applied; alpha is dropped; of several frames, the first counts. Samples of more than
8 bits are scaled by the range that the file states: the maximum in TIFF's tags, else all of unsigned 16 bits, else 0..1
of floats. An image that states none is refused.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from zfscale.data.image_formats import instead, opened
from zfscale.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

BITS, WHITE_IS_ZERO, SAMPLE_FORMAT, MAX_SAMPLE = 258, 262, 339, (281, 341)  # tags of TIFF
LONGEST = 50  # times as long as wide: what is beyond would be blown up before the crop


def decode(raw: bytes, where: str) -> tuple[Image, bool]:
    """The image in mode L or RGB, and whether its 16-bit samples fill so little of their range that it is black.

    Errors: DataError, which begins with `where`.
    """
    from PIL import Image as pil
    from PIL import ImageOps

    if not raw:
        raise DataError(f"{where}: not a readable image: it is empty")
    try:
        with opened(io.BytesIO(raw)) as image:
            image.load()
            deep, tags = image.mode == "F" or image.mode.startswith("I"), dict(getattr(image, "tag_v2", {}))
            top = _top(image, tags)
            upright = ImageOps.exif_transpose(image)
        if not deep:
            return upright.convert("L" if upright.mode in ("1", "L", "LA", "La") else "RGB"), False
        samples = _samples(upright, top)
        out = _eight_bits(samples, top, white_is_zero=tags.get(WHITE_IS_ZERO, 1) == 0)
        return pil.fromarray(out), not _stated(tags) and top == 65535 and 0 < samples.max() < 4096
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except Exception as error:  # OSError, ValueError, SyntaxError, struct.error, ...: whatever Pillow's parsers meet
        what = instead(raw) or _reason(error)
        raise DataError(f"{where}: not a readable image: {what}") from error


def resize_and_crop(image: Image, size: int) -> Image:
    """Shorter side to `size`, centre crop: the usual test transform, at the model's own resolution."""
    from PIL import Image as pil

    w, h = image.size
    scale = size / min(w, h)
    image = image.resize((max(size, round(w * scale)), max(size, round(h * scale))), pil.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def fitted(image: Image, size: int, where: str) -> Image:
    """An image larger than `size` resized and cropped; a smaller one as it is."""
    if max(image.size) <= size:
        return image
    if max(image.size) > LONGEST * min(image.size):
        raise DataError(f"{where}: {image.width} x {image.height} pixels are too narrow; allowed: 1 : {LONGEST}")
    return resize_and_crop(image, size)


def _top(image: Image, tags: Mapping[int, Any]) -> float:
    """The greatest value that a sample can have, as its format says. Errors: DataError if it does not."""
    stated, deep = _stated(tags), image.mode == "F" or image.mode.startswith("I")
    bits = max(tags.get(BITS, (16 if deep else 8,)))
    if not deep:
        if stated and bits > 8 and stated[0] < 65535:
            raise DataError(f"mode {image.mode} of {bits} bits up to {stated[0]:g} is not read; convert it to 8 bits")
        return 255
    if stated:
        return stated[0]
    if image.mode == "F":
        return 1
    signed = tags.get(SAMPLE_FORMAT, (1,))[0] == 2
    if image.format == "TIFF" and (bits > 16 or signed):
        what = f"mode {image.mode} of {bits} bits{' with a sign' * signed}"
        raise DataError(f"{what} does not state its range (MaxSampleValue) and is not read; convert it to 8 or 16 bits")
    return 2**bits - 1


def _stated(tags: Mapping[int, Any]) -> list[float]:
    """The maximum that TIFF's tags state, if they do."""
    found = [tags[tag] for tag in MAX_SAMPLE if tag in tags]
    return [float(value[0] if isinstance(value, tuple) else value) for value in found]


def _samples(image: Image, top: float) -> np.ndarray:
    """The samples of an image of one deep channel, if all of them are in 0 .. top."""
    x = np.asarray(image)
    if not np.isfinite(x).all() or x.min() < 0 or x.max() > top:
        span = f"{x.min():g} to {x.max():g}"
        raise DataError(f"mode {image.mode} with values of {span} is not read (0 to {top:g} is); convert it to 8 bits")
    return x


def _eight_bits(samples: np.ndarray, top: float, white_is_zero: bool) -> np.ndarray:
    """Integers by their high byte, as Pillow cuts 16-bit colours; floats rounded."""
    if samples.dtype.kind == "f":
        x = np.rint(samples * (255 / top)).astype(np.uint8)
    else:
        x = (samples.astype(np.int64) * 256 // (int(top) + 1)).astype(np.uint8)
    return 255 - x if white_is_zero else x


def _reason(error: Exception) -> str:
    """In one line, without the address of the buffer that Pillow was given."""
    if type(error).__name__ == "UnidentifiedImageError":
        return "it is in none of the formats that are read"
    return " ".join(str(error).split()) or type(error).__name__
