"""How an image looks: against formulas written again with loops, and by cases that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from zfscale.pretraining.looks import CELL, CLIPPED, DIRECTIONS, SHADES, colours, edges, pixels


def images(n: int, seed: int = 0) -> torch.Tensor:
    """Random pictures, uint8 [n, 3, 28, 28]."""
    return torch.randint(0, 256, (n, 3, 28, 28), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def plain(*colour: int) -> torch.Tensor:
    """A picture of one colour, uint8 [1, 3, 28, 28]."""
    return torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 28, 28)


@pytest.mark.parametrize("look", [pixels, colours, edges])
def test_each_is_of_length_1(look):
    assert torch.allclose(look(images(5)).norm(dim=1), torch.ones(5))


def test_pixels_keep_the_cosine_of_grey_pictures():
    x = images(20)[:, :1].expand(-1, 3, -1, -1)
    raw = F.normalize(x.float().flatten(1))
    assert torch.allclose(pixels(x) @ pixels(x).T, raw @ raw.T, atol=1e-5)


def test_pixels_tell_colours_apart():
    """Magenta and cyan are further apart than by their raw pixels, whose cosine is 0.5."""
    assert float(pixels(plain(200, 0, 200)) @ pixels(plain(0, 200, 200)).T) < 0.2


def test_colours_of_shades_and_between_them():
    """A shade counts whole; a colour in the middle of two, half for each."""
    step = 255 // (SHADES - 1)
    exact = colours(plain(0, 255, 0))[0].view(SHADES, SHADES, SHADES)
    assert exact[0, -1, 0] == 1
    assert exact.count_nonzero() == 1
    between = colours(plain(255, 0, step // 2))[0].view(SHADES, SHADES, SHADES)
    assert between[-1, 0, :2].square().tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert between.count_nonzero() == 2


def test_colours_are_those_of_a_loop_and_know_no_places():
    x = images(1)
    expected = np.zeros((SHADES,) * 3)
    for pixel in x[0].flatten(1).T.numpy() / 255 * (SHADES - 1):
        low = np.minimum(pixel.astype(int), SHADES - 2)
        for corner in np.ndindex(2, 2, 2):
            share = np.where(corner, pixel - low, 1 - (pixel - low))
            expected[tuple(low + corner)] += share.prod() / 784
    assert np.allclose(colours(x)[0].view(SHADES, SHADES, SHADES), np.sqrt(expected), atol=1e-4)
    assert torch.allclose(colours(x.flip(2)), colours(x), atol=1e-5)


def test_edges_are_those_of_a_loop():
    """Dalal and Triggs, section 6, but for what the NOTE says."""
    x = images(1, seed=3)[0].numpy().astype(float)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode="edge")
    cells = np.zeros((28 // CELL, 28 // CELL, DIRECTIONS))
    for row, column in np.ndindex(28, 28):
        at = padded[:, row : row + 3, column : column + 3]
        gradients = np.stack([at[:, 1, 2] - at[:, 1, 0], at[:, 2, 1] - at[:, 0, 1]], 1)
        across, down = gradients[np.square(gradients).sum(1).argmax()]
        turned = (math.atan2(down, across) % math.pi) / math.pi * DIRECTIONS
        low, rest = int(turned), turned - int(turned)
        cell = cells[row // CELL, column // CELL]
        cell[low % DIRECTIONS] += (1 - rest) * math.hypot(across, down) / CELL**2
        cell[(low + 1) % DIRECTIONS] += rest * math.hypot(across, down) / CELL**2
    blocks = []
    for row, column in np.ndindex(3, 3):
        block = cells[row : row + 2, column : column + 2].transpose(2, 0, 1).ravel()
        blocks.append(np.minimum(block / (np.linalg.norm(block) + 1), CLIPPED))
    expected = np.concatenate(blocks)
    found = edges(torch.tensor(x, dtype=torch.uint8)[None])[0].numpy()
    assert np.allclose(found, expected / np.linalg.norm(expected), atol=1e-5)


def test_edges_know_no_brightness_and_a_flat_picture_has_none():
    x = images(2) // 2
    assert torch.allclose(edges(x + 100), edges(x), atol=1e-5)
    assert edges(plain(9, 9, 9)).count_nonzero() == 0


def test_edges_of_a_ramp_have_one_direction():
    ramp = (torch.arange(28, dtype=torch.uint8) * 9).expand(1, 3, 28, 28)
    found = edges(ramp)[0].view(9, DIRECTIONS, 4)
    assert found[:, 0].min() > 0
    assert found[:, 1:].count_nonzero() == 0
