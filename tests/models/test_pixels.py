"""Pixels against Pillow and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from zfscale.models.pixels import Pixels

PLAIN = {1: Pixels(24, 1, (0.0,), (1.0,)), 3: Pixels(24, 3, (0.0,) * 3, (1.0,) * 3)}


def picture(width: int, height: int, mode: str) -> Image.Image:
    """A smooth random image, where Pillow's rounding between its two passes hardly matters."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)).convert(mode)


def tensor(image: Image.Image) -> torch.Tensor:
    x = torch.from_numpy(np.array(image))
    return x[None, None] if x.ndim == 2 else x.permute(2, 0, 1)[None]


def test_statistics_are_applied_per_channel():
    image = picture(24, 24, "RGB")
    mean, std = (0.1, 0.4, 0.7), (0.2, 0.5, 1.5)
    got = Pixels(24, 3, mean, std)(tensor(image))
    expected = (np.asarray(image) / 255 - mean) / std
    np.testing.assert_allclose(got[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)
    assert got.dtype == torch.float32


def test_grey_to_rgb_repeats_the_channel():
    image = picture(24, 24, "L")
    got = PLAIN[3](tensor(image))
    assert got.shape == (1, 3, 24, 24)
    np.testing.assert_allclose(got[0].permute(1, 2, 0).numpy() * 255, np.asarray(image.convert("RGB")), atol=1e-4)


def test_rgb_to_grey_is_pillows_luma():
    image = picture(24, 24, "RGB")
    got = PLAIN[1](tensor(image))
    assert got.shape == (1, 1, 24, 24)
    assert np.abs(got[0, 0].numpy() * 255 - np.asarray(image.convert("L"))).max() <= 0.51  # Pillow rounds


@pytest.mark.parametrize(("width", "height"), [(48, 48), (31, 57), (25, 24), (12, 12), (8, 20)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_resize_is_pillows_bicubic(width, height, mode):
    image = picture(width, height, mode)
    got = PLAIN[3](tensor(image))[0].permute(1, 2, 0).numpy() * 255
    expected = np.asarray(image.resize((24, 24), Image.Resampling.BICUBIC).convert("RGB"), dtype=float)
    assert np.abs(got - expected).max() < 1.6
    assert np.abs(got - expected).mean() < 0.5


def test_overshoot_is_clamped():
    x = torch.zeros(1, 1, 12, 12, dtype=torch.uint8)
    x[..., 6:] = 255  # bicubic rings at an edge
    got = PLAIN[1](x)
    assert got.min() == 0
    assert got.max() == 1


def test_low_precision_is_that_of_the_result_only():
    x = tensor(picture(40, 30, "RGB"))
    pixels = Pixels(24, 3, (0.4,) * 3, (0.3,) * 3)
    assert torch.equal(pixels(x, torch.bfloat16), pixels(x).bfloat16())


def test_channels_that_fit_nothing_are_refused():
    with pytest.raises(AssertionError):
        PLAIN[3](torch.zeros(1, 4, 24, 24, dtype=torch.uint8))
