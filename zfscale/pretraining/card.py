"""The card of a base model: nearest class mean on its features, beside raw pixels and a random initialisation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from zfscale.data.image_data import ImageData
from zfscale.data.images import DATASETS, load
from zfscale.models.pixels import Pixels

Features = Callable[[torch.Tensor], torch.Tensor]  # uint8 [B, C, H, W] -> [B, D]


@torch.no_grad()
def hits(features: Features, data: ImageData, batch: int = 500) -> np.ndarray:
    """Whether each test image [N] is labelled right by the nearest class mean by cosine (SimpleCIL), of all classes."""
    train, test = (torch.cat([features(p) for p in torch.tensor(x).split(batch)]) for x in (data.train_x, data.test_x))
    labels = torch.from_numpy(data.train_y)
    means = torch.stack([train[labels == c].mean(0) for c in range(int(labels.max()) + 1)])
    guess = (F.normalize(test) @ F.normalize(means).T).argmax(1).numpy()
    return np.asarray(guess == data.test_y)


def accuracy(features: Features, data: ImageData) -> float:
    """The share of test images that `hits` says are labelled right."""
    return float(hits(features, data).mean())


def raw(data: ImageData, size: int) -> Features:
    """Raw pixels as features, in the channels that the data has, at the model's size."""
    channels = data.train_x.shape[1]
    pixels = Pixels(size, channels, (0.0,) * channels, (1.0,) * channels)
    return lambda x: pixels(x).flatten(1)


def features(model: Features, size: int = 28) -> dict[str, float]:
    """Dataset -> accuracy, on every embedded dataset of images."""
    return {name: accuracy(model, load(name, size)) for name in DATASETS}


def compare(model: Features, random: dict[str, float], size: int = 28) -> dict[str, dict[str, float]]:
    """Dataset -> accuracies of the features, of raw pixels and of `random`, those of a random initialisation.

    `difference` is that of features and pixels, and `error` its standard error, paired by test image; `images` is how
    many of these there are. The error does not know of the choice of the training images.
    """
    found = {}
    for name in DATASETS:
        data = load(name, size)
        mine, pixels = hits(model, data), hits(raw(data, size), data)
        apart = mine.astype(float) - pixels
        found[name] = {
            "features": round(float(mine.mean()), 4),
            "pixels": round(float(pixels.mean()), 4),
            "random": round(random[name], 4),
            "difference": round(float(apart.mean()), 4),
            "error": round(float(apart.std(ddof=1)) / math.sqrt(len(apart)), 4),
            "images": len(apart),
        }
    return found
