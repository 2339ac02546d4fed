"""The embedded dataset scripts100: 100 characters of scripts that vit-mini has never seen, in fonts and distorted.

46 hiragana, 44 Thai consonants and 10 Thai digits; 60 images of each to learn from and 20 to test on. No family of
fonts is in both, by the names of their files; families that were derived from one another may be. An image is a drawing
by a pen or as printed, through a random affine and elastic map, white on black.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zfscale.data.pictures import EMBEDDED, SCRIPTS100, SIDE
from zfscale.pretraining.distort import Distortion, thin
from zfscale.pretraining.fonts import INKED, Drawings, draw, font_files

TRAIN, TEST = 60, 20  # images a class
TEST_FAMILIES = 4  # every fourth family of fonts is for testing
STRENGTH = 0.8  # of the distortions that vit-mini learns


def build_scripts100(seed: int = 0, out: Path = EMBEDDED) -> dict[str, Any]:
    """Draw the dataset into `out`, as one picture of all images, class after class, training images first.

    Errors: DataError if fonts are missing; it says what to install.
    """
    from PIL import Image

    drawings = draw(font_files(), lambda _: set(SCRIPTS100), fonts=1000)
    rng = np.random.Generator(np.random.Philox(seed))
    rows = np.concatenate([_rows(drawings, drawings.characters.index(c), rng) for c in SCRIPTS100])
    distortion = Distortion(seed)
    distortion.strength, distortion.blurred = STRENGTH, 0.0
    images = distortion.characters(torch.tensor(drawings.x[rows]), torch.tensor(thin(drawings.x[rows] > INKED)))
    grid = images[:, 0].numpy().reshape(len(SCRIPTS100), TRAIN + TEST, SIDE, SIDE).swapaxes(1, 2)
    page = Image.fromarray(grid.reshape(len(SCRIPTS100) * SIDE, (TRAIN + TEST) * SIDE))
    page.save(out / "scripts100.png", optimize=True)
    fonts = drawings.font[rows].reshape(len(SCRIPTS100), TRAIN + TEST)
    families = {f: family(name) for f, name in enumerate(drawings.fonts)}
    train, test = ({families[f] for f in part.ravel().tolist()} for part in np.split(fonts, [TRAIN], axis=1))
    assert not train & test
    return {"images": len(rows), "train_families": len(train), "test_families": len(test)}


def family(file: str) -> str:
    """A font's family by the name of its file, without weight and slant.

    >>> family("Loma-BoldOblique.ttf"), family("umefont-tgo4.ttf")
    ('loma', 'umefont')
    """
    return re.split(r"[-_.\d]", file.lower())[0]


def _rows(drawings: Drawings, label: int, rng: np.random.Generator) -> np.ndarray:
    """Rows [TRAIN + TEST] of a character: of families for training, then of those for testing."""
    rows = np.flatnonzero(drawings.y == label)
    families = sorted({family(name) for name in drawings.fonts})
    testing = np.array([families.index(family(drawings.fonts[f])) % TEST_FAMILIES == 0 for f in drawings.font[rows]])
    return np.concatenate([_spread(rows[~testing], TRAIN, rng), _spread(rows[testing], TEST, rng)])


def _spread(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` of the rows in random order, all of them before one comes again."""
    return np.concatenate([rng.permutation(rows) for _ in range(-(-n // len(rows)))])[:n]
