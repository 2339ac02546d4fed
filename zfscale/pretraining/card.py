"""The card of a base model: nearest class mean on its features, beside raw pixels and a random initialisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from zfscale.data.image_data import ImageData
from zfscale.data.images import DATASETS, load
from zfscale.models.pixels import Pixels

Features = Callable[[torch.Tensor], torch.Tensor]  # uint8 [B, C, H, W] -> [B, D]


@torch.no_grad()
def accuracy(features: Features, data: ImageData, batch: int = 500) -> float:
    """Nearest class mean by cosine (SimpleCIL) over all classes at once: the share of test images labelled right."""
    train, test = (torch.cat([features(p) for p in torch.tensor(x).split(batch)]) for x in (data.train_x, data.test_x))
    labels = torch.from_numpy(data.train_y)
    means = torch.stack([train[labels == c].mean(0) for c in range(int(labels.max()) + 1)])
    guess = (F.normalize(test) @ F.normalize(means).T).argmax(1).numpy()
    return float((guess == data.test_y).mean())


def pixels(data: ImageData, size: int) -> float:
    """The accuracy of the same rule on raw pixels, in the channels that the data has, at the model's size."""
    channels = data.train_x.shape[1]
    raw = Pixels(size, channels, (0.0,) * channels, (1.0,) * channels)
    return accuracy(lambda x: raw(x).flatten(1), data)


def features(model: Features, size: int = 28) -> dict[str, float]:
    """Dataset -> accuracy, on every embedded dataset of images."""
    return {name: accuracy(model, load(name, size)) for name in DATASETS}


def compare(model: Features, random: dict[str, float], size: int = 28) -> dict[str, dict[str, float]]:
    """Dataset -> accuracies of the features, of raw pixels and of `random`, those of a random initialisation."""
    found = features(model, size)
    return {
        name: {
            "features": round(found[name], 4),
            "pixels": round(pixels(load(name, size), size), 4),
            "random": round(random[name], 4),
        }
        for name in found
    }
