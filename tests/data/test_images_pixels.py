"""Pixels of every format: by the range that the file states, upright, or refused by name."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.data.pictures_as import encoded, noise, palette, rotated, tiff
from tests.troubles import assert_told
from zfscale.data.image_formats import is_image
from zfscale.data.pixels import decode
from zfscale.errors import DataError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
WIDE = RAMP.astype(np.uint16)


def pixels(raw: bytes) -> np.ndarray:
    image, _ = decode(raw, "x.img")
    assert image.mode in ("L", "RGB")
    return np.asarray(image)


GREYS = {
    "8 bits": encoded(RAMP),
    "with alpha": encoded(Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)])),
    "16 bits of PNG": encoded(WIDE * 256),
    "16 bits of PGM": b"P5 16 16 65535\n" + (WIDE * 256).astype(">u2").tobytes(),
    "10 bits of PGM": b"P5 16 16 1020\n" + (WIDE * 4).astype(">u2").tobytes(),
    "16 bits of TIFF": tiff(WIDE * 256),
    "12 bits in 16": tiff(WIDE * 16, _281=4095),
    "8 bits in 16": tiff(WIDE, _281=255),
    "8 bits in 32": tiff(RAMP.astype(np.int32), _281=255),
    "16 bits in 32": tiff(RAMP.astype(np.int32) * 256, _281=65535),
    "32 bits, all of them": tiff(RAMP.astype(np.int32) * 2**23, _341=float(2**31 - 1)),
    "float of 0 to 1": tiff(RAMP.astype(np.float32) / 255),
    "float of 0 to 255": tiff(RAMP.astype(np.float32), _341=255.0),
    "white is zero": tiff(65535 - WIDE * 256, _262=0),
}


@pytest.mark.parametrize("kind", GREYS)
def test_greys_are_scaled_by_what_the_format_says(kind: str) -> None:
    assert np.array_equal(pixels(GREYS[kind]), RAMP)


def test_colours() -> None:
    x = noise(0)
    rgba = np.dstack([x, RAMP[:12, :12]])
    assert np.array_equal(pixels(encoded(x)), x)
    assert np.array_equal(pixels(encoded(rgba)), x)
    assert np.array_equal(pixels(encoded(Image.fromarray(x).convert("CMYK"), "TIFF")), x)
    few = np.asarray(Image.fromarray(x).quantize(16).convert("RGB"))
    assert np.array_equal(pixels(palette(x)), few)
    assert np.array_equal(pixels(encoded(Image.fromarray(few).quantize(16), "PNG", transparency=3)), few)
    assert np.array_equal(pixels(encoded(Image.fromarray(RAMP > 99))), np.where(RAMP > 99, 255, 0))


REFUSED = {
    "32 bits without a range": (tiff(RAMP.astype(np.int32)), "mode I of 32 bits"),
    "signed 16 bits": (encoded(Image.frombytes("I", (2, 2), bytes(16)), "TIFF", tiffinfo={258: 16}), "mode I"),
    "float beyond 1": (tiff(RAMP.astype(np.float32)), "mode F with values of 0 to 255"),
    "not a number": (tiff(np.full((4, 4), np.nan, np.float32)), "mode F"),
    "below zero": (tiff(RAMP.astype(np.float32) / 255 - 0.5), "-0.5 to 0.5"),
    "above its own maximum": (tiff(WIDE * 256, _281=4095), "0 to 65280"),
    "empty": (b"", "it is empty"),
    "cut": (encoded(noise(0))[:200], "not a readable image"),
    "text": (b"this is no image", "in none of the formats that are read"),
    "zip": (b"PK\x03\x04" + bytes(40), "a zip archive; unpack it"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "html": (b"<!DOCTYPE html><html>", "an HTML page"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image, which Pillow does not read; convert it"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "in none of the formats"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_named(kind: str) -> None:
    raw, says = REFUSED[kind]
    with pytest.raises(DataError) as caught:
        decode(raw, "x.img")
    assert str(caught.value).startswith("x.img: ")
    assert_told(caught.value, says)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_orientation_is_applied_once(kind: str, channels: int) -> None:
    x = np.kron(noise(0, (2, 3), channels), np.ones((8, 8, 1) if channels > 1 else (8, 8), np.uint8))
    assert x.shape[:2] == (24, 16)
    turned = pixels(rotated(x, kind)).astype(int)
    upright = pixels(encoded(x, kind)).astype(int)
    assert turned.shape == upright.shape
    assert np.abs(turned - upright).mean() < (0.01 if kind in ("PNG", "TIFF") else 9)


def test_a_deep_image_is_turned_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    raw = encoded(Image.fromarray(WIDE * 256), exif=exif.tobytes())
    assert np.array_equal(pixels(raw), RAMP[::-1, ::-1])


def test_12_bits_that_no_tag_states_are_reported() -> None:
    assert decode(encoded(WIDE * 16), "x")[1]
    assert not decode(encoded(WIDE * 256), "x")[1]
    assert not decode(tiff(WIDE, _281=65535), "x")[1]
    assert not decode(encoded(RAMP // 100), "x")[1]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "AVIF", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000"])
def test_content_tells_an_image_whatever_its_suffix(kind: str) -> None:
    assert is_image(io.BytesIO(encoded(noise(0), kind)))


@pytest.mark.parametrize("text", [b"", b"BM is a bookmark", b"P6 is a model", b"II* MM*", b'{"a": 1}', bytes(4096)])
def test_content_tells_what_is_none(text: bytes) -> None:
    assert not is_image(io.BytesIO(text))


def test_the_first_frame_counts() -> None:
    frames = [Image.fromarray(noise(i)).quantize(8) for i in range(3)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(pixels(out.getvalue()), np.asarray(frames[0].convert("RGB")))
