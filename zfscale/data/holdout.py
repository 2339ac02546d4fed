"""Training images that are held out: of every class the same share, drawn by a fixed seed."""

from __future__ import annotations

import numpy as np

from zfscale.errors import DataError

SEED = 20250101  # of no trial: all trials of a dataset hold out the same images


def held_out(labels: np.ndarray, amount: float) -> np.ndarray:
    """Which images are held out, bool [N].

    Args:
        labels: Class of each image, int64 [N], every class of 0 .. max there.
        amount: A share of the images if below 1, else their number.

    Returns:
        A mask. Classes give a share to the nearest image, and of a number what is in proportion to their size (largest
        remainders); each gives one image at least and keeps one at least.

    Raises:
        DataError: A class has a single image, or the number leaves some class none to hold out or to train on.
    """
    sizes = np.bincount(labels)
    if sizes.min() < 2:
        raise DataError(f"class {int(sizes.argmin())} has {sizes.min()} training image, and cannot give one")
    if amount >= 1 and not len(sizes) <= amount <= len(labels) - len(sizes):
        raise DataError(f"{amount:g} of {len(labels)} images; allowed: {len(sizes)} to {len(labels) - len(sizes)}")
    mask = np.zeros(len(labels), bool)
    for c, count in enumerate(_counts(sizes, amount)):
        draw = np.random.Generator(np.random.Philox(key=[SEED, c]))
        mask[draw.permutation(np.flatnonzero(labels == c))[:count]] = True
    return mask


def _counts(sizes: np.ndarray, amount: float) -> np.ndarray:
    """int64 [classes]: how many each class gives."""
    exact = sizes * (amount if amount < 1 else amount / sizes.sum())
    counts = (np.rint if amount < 1 else np.floor)(exact).astype(np.int64)
    if amount >= 1:
        counts[np.argsort(counts - exact, kind="stable")[: int(amount) - counts.sum()]] += 1
    return np.clip(counts, 1, sizes - 1)
