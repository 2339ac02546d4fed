"""Image domains for masked image modelling: images at a model's size, which of their patches are hidden, and what is
there.

Shapes: N images, C channels, S side, p side of a patch, L = (S / p)^2 patches, M of them hidden, P = p p C values of
a patch, row by row with the channels innermost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zfscale.data.examples import Examples
from zfscale.data.image_data import ImageData
from zfscale.data.pixels import resize_and_crop
from zfscale.errors import DataError

SEED = 0  # of the masks and of which images a budget takes: not the trial's, so that trials differ in training alone
TRAIN, HELD_OUT, CHOICE = range(3)


@dataclass(frozen=True)
class Patches:
    """How a model cuts images into patches, and how many of each image's are hidden from it."""

    size: int  # S
    channels: int  # C
    side: int  # p
    hidden: int  # M

    @property
    def count(self) -> int:
        """L."""
        return (self.size // self.side) ** 2


def image_domain(name: str, data: ImageData, patches: Patches, images: int | None, held_out: int) -> Examples:
    """The domain `name`: `images` of the training split (None: all), at most `held_out` of the test split.

    Inputs are uint8 [N, C + 1, S, S], the last channel 1 on hidden patches and 0 elsewhere; targets uint8 [N, M, P],
    the hidden patches in order. What a budget takes is spread evenly over the classes.
    Errors: DataError if there are fewer training images than asked for.
    """
    if images is not None and images > len(data.train_x):
        raise DataError(f"domain {name!r}: there are {len(data.train_x)} training images, {images} were asked for")
    train, test = _spread(data.train_y)[:images], _spread(data.test_y)[:held_out]
    x, y = hide(fit(data.train_x[train], patches), patches, TRAIN)
    held_out_x, held_out_y = hide(fit(data.test_x[test], patches), patches, HELD_OUT)
    examples = Examples(name, x, y, held_out_x, held_out_y)
    if len(data.classes) < 2:
        return examples
    return Examples(name, x, y, held_out_x, held_out_y, None, data.train_y[train], data.test_y[test])


def hide(images: np.ndarray, patches: Patches, split: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets (see `image_domain`) of uint8 images [N, C, S, S].

    NOTE: a mask is a function of (split, image number), the same in every epoch, where MAE and SimMIM draw new ones.
    So the loss of a batch, and the held-out loss, are functions of the weights alone, and a ledger rebuilds them.
    """
    mask = masks(len(images), patches, split)
    cells = patches.size // patches.side
    channel = mask.reshape(-1, 1, cells, cells).repeat(patches.side, 2).repeat(patches.side, 3)
    targets = cut(images, patches.side)[mask].reshape(len(images), patches.hidden, -1)
    return np.concatenate([images, channel.astype(np.uint8)], axis=1), targets


def masks(count: int, patches: Patches, split: int) -> np.ndarray:
    """Which patches are hidden, bool [count, L]: exactly M patches of each image, every choice equally likely."""
    draws = _random(split).random((count, patches.count))
    order = draws.argsort(axis=1, kind="stable")
    mask = np.zeros((count, patches.count), dtype=bool)
    np.put_along_axis(mask, order[:, : patches.hidden], True, axis=1)
    return mask


def cut(images: np.ndarray, side: int) -> np.ndarray:
    """[N, C, S, S] -> the patches [N, L, P], row by row."""
    n, channels, size, _ = images.shape
    cells = size // side
    grid = images.reshape(n, channels, cells, side, cells, side)
    return grid.transpose(0, 2, 4, 3, 5, 1).reshape(n, cells * cells, side * side * channels)


def fit(images: np.ndarray, patches: Patches) -> np.ndarray:
    """uint8 [N, 1 or 3, H, W] at the model's channels and size: shorter side bicubically, then the centre."""
    from PIL import Image

    mode, size = {1: "L", 3: "RGB"}[patches.channels], patches.size
    if images.shape[1:] == (patches.channels, size, size):
        return images
    pictures = (Image.fromarray(x.squeeze(0) if len(x) == 1 else x.transpose(1, 2, 0)).convert(mode) for x in images)
    stack = np.stack([np.asarray(im if im.size == (size, size) else resize_and_crop(im, size)) for im in pictures])
    return stack[:, None] if mode == "L" else np.ascontiguousarray(stack.transpose(0, 3, 1, 2))


def _spread(labels: np.ndarray) -> np.ndarray:
    """Row numbers in an order whose every prefix has each class as often as any other, give or take one."""
    order = _random(CHOICE).permutation(len(labels))
    turn = np.empty(len(labels), dtype=np.int64)  # how many rows of the same class come before
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        turn[mine] = np.arange(len(mine))
    return order[np.argsort(turn[order], kind="stable")]


def _random(stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[SEED, stream]))
