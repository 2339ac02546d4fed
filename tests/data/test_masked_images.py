"""Image domains: which patches are hidden, what is to be predicted, and which images a budget takes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from zfscale.data.image_data import ImageData
from zfscale.data.masked_images import HELD_OUT, TRAIN, Patches, cut, fit, hide, image_domain, masks
from zfscale.errors import DataError

GREY, COLOUR = Patches(12, 1, 4, 7), Patches(12, 3, 4, 5)
RNG = np.random.default_rng(0)


def data(classes: int = 3, size: int = 12) -> ImageData:
    """Twenty training and ten test images a class, in order of class."""
    y, held_out = np.repeat(np.arange(classes), 20), np.repeat(np.arange(classes), 10)
    x = RNG.integers(0, 256, (len(y), 1, size, size), dtype=np.uint8)
    return ImageData(x, y, x[::2], held_out, tuple("abc"[:classes]))


@pytest.mark.parametrize("patches", [GREY, COLOUR])
def test_inputs_and_targets_are_the_image(patches):
    images = RNG.integers(0, 256, (6, patches.channels, 12, 12), dtype=np.uint8)
    x, y = hide(images, patches, TRAIN)
    assert (x.shape, y.shape) == ((6, patches.channels + 1, 12, 12), (6, patches.hidden, 16 * patches.channels))
    assert (x.dtype, y.dtype) == (np.uint8, np.uint8)
    assert np.array_equal(x[:, :-1], images)
    for image, mask, targets in zip(images, x[:, -1], y, strict=True):
        hidden = iter(targets.reshape(-1, 4, 4, patches.channels))
        for i, j in np.ndindex(3, 3):
            rows, columns = slice(4 * i, 4 * i + 4), slice(4 * j, 4 * j + 4)
            assert len(np.unique(mask[rows, columns])) == 1
            if mask[rows, columns].all():
                assert np.array_equal(next(hidden), image[:, rows, columns].transpose(1, 2, 0))
        assert next(hidden, None) is None


def test_masks_are_a_function_of_split_and_number():
    mask = masks(4000, GREY, TRAIN)
    assert (mask.sum(1) == 7).all()
    assert np.array_equal(masks(50, GREY, TRAIN), mask[:50])
    assert not np.array_equal(masks(50, GREY, HELD_OUT), mask[:50])
    assert np.abs(mask.mean(0) - 7 / 9).max() < 0.03
    assert len({row.tobytes() for row in mask}) == 36  # every choice of 2 patches that are seen


def test_patches_are_cut_row_by_row():
    numbered = np.arange(36, dtype=np.uint8).reshape(1, 1, 6, 6)
    assert cut(numbered, 3)[0, 1].tolist() == [3, 4, 5, 9, 10, 11, 15, 16, 17]


def test_images_are_brought_to_the_models_size_and_channels():
    small = RNG.integers(0, 256, (2, 1, 8, 8), dtype=np.uint8)
    large = fit(small, GREY)
    assert large.shape == (2, 1, 12, 12)
    expected = Image.fromarray(small[1, 0]).resize((12, 12), Image.Resampling.BICUBIC)
    assert np.array_equal(large[1, 0], np.asarray(expected))
    assert np.array_equal(fit(small, COLOUR)[:, 2], large[:, 0])
    colours = RNG.integers(0, 256, (2, 3, 12, 12), dtype=np.uint8)
    grey = fit(colours, GREY)[0, 0].astype(float)
    assert np.abs(grey - np.tensordot([0.299, 0.587, 0.114], colours[0].astype(float), 1)).max() <= 1
    assert fit(colours, COLOUR) is colours
    wide = np.zeros((1, 1, 6, 18), dtype=np.uint8)
    wide[..., 6:12] = 200  # what the centre is
    assert fit(wide, GREY)[0, 0, :, 3:-3].min() > 190


def test_a_budget_is_spread_over_the_classes():
    whole = data()
    task = image_domain("x", whole, GREY, 10, 4)
    assert task.train_labels is not None
    assert task.held_out_labels is not None
    assert sorted(np.bincount(task.train_labels).tolist()) == [3, 3, 4]
    assert sorted(np.bincount(task.held_out_labels).tolist()) == [1, 1, 2]
    label = {image.tobytes(): y for image, y in zip(whole.train_x, whole.train_y, strict=True)}
    assert [label[image.tobytes()] for image in task.train_x[:, :1]] == task.train_labels.tolist()
    longer = image_domain("x", whole, GREY, 20, 100)
    assert np.array_equal(longer.train_x[:10], task.train_x)
    assert np.array_equal(longer.held_out_y[:4], task.held_out_y)
    assert len(longer.held_out_x) == 30
    assert len(image_domain("x", whole, GREY, None, 1).train_x) == 60


def test_images_of_one_class_have_no_labels():
    task = image_domain("x", data(classes=1), GREY, None, 5)
    assert task.train_labels is task.held_out_labels is None
    assert task.bytes_per_token is None


def test_a_budget_that_is_not_there_is_a_clear_error():
    with pytest.raises(DataError, match="domain 'x': there are 60 training images, 61 were asked for"):
        image_domain("x", data(), GREY, 61, 5)
