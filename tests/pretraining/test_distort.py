"""Changes of drawings: strokes of one pixel, and batches that are a function of their seed."""

from __future__ import annotations

import numpy as np
import torch

from zfscale.pretraining.distort import SIDE, Distortion, thin


def bars() -> np.ndarray:
    """bool [2, 20, 20]: an upright bar and a lying one, five pixels wide, and nothing else."""
    ink = np.zeros((2, 20, 20), bool)
    ink[0, 3:17, 8:13] = True
    ink[1, 8:13, 3:17] = True
    return ink


def test_a_bar_is_thinned_to_its_middle_line():
    strokes = thin(bars())
    assert strokes[0].sum(1).max() == 1
    assert strokes[1].sum(0).max() == 1
    assert set(np.flatnonzero(strokes[0].any(0))) == {10}
    assert strokes[0].sum() >= 8
    assert np.array_equal(strokes[1], strokes[0].T)
    assert not (strokes & ~bars()).any()


def test_thinning_keeps_what_is_connected_and_what_is_thin():
    ring = np.zeros((1, 12, 12), bool)
    ring[0, 2:10, 2:10] = True
    ring[0, 4:8, 4:8] = False
    strokes = thin(ring)
    assert strokes.any()
    assert not strokes[0, 5:7, 5:7].any()
    assert all(strokes[0, row].any() for row in range(3, 9))  # closed all round
    line = np.zeros((1, 12, 12), bool)
    line[0, 6, 2:10] = True
    assert np.array_equal(thin(line), line)


def test_batches_are_a_function_of_the_seed():
    filled = torch.tensor(bars().repeat(2, 1).repeat(2, 2)).to(torch.uint8) * 255
    strokes = torch.tensor(thin(filled.numpy() > 0))
    coloured = torch.randint(0, 256, (4, 4, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for draw in (
        lambda d: d.characters(filled, strokes),
        lambda d: d.greys(filled[:, :28, :28]),
        lambda d: d.pictures(coloured, scale=(0.6, 1.5)),
    ):
        before = torch.get_rng_state()
        a, b, other = (draw(Distortion(seed)) for seed in (0, 0, 1))
        assert a.shape[1:] == (3, SIDE, SIDE)
        assert a.dtype == torch.uint8
        assert torch.equal(a, b)
        assert not torch.equal(a, other)
        assert torch.equal(before, torch.get_rng_state())


def test_without_strength_a_drawing_keeps_its_place():
    filled = torch.tensor(bars()[:1].repeat(40, 0).repeat(2, 1).repeat(2, 2)).to(torch.uint8) * 255
    distortion = Distortion(0)
    distortion.strength = 0.0
    mean = distortion.characters(filled, torch.tensor(thin(filled.numpy() > 0))).float().mean((0, 1))
    assert mean[SIDE // 2, SIDE // 2] > 150  # white, on black
    assert mean[:, 0].max() < 10
