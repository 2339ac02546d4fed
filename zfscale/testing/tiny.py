"""A model and images that are small enough for a trial to take a second, made where they are needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CLASSES, IMAGES = 6, 10


def tiny_vit(path: Path) -> Path:
    """Write a randomly initialised ViT (12 px grey, 2 blocks of 16) to a directory and return it."""
    import torch
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=12,
        patch_size=4,
        num_channels=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ViTModel(config, add_pooling_layer=False).save_pretrained(path)
    return path


def tiny_images(path: Path) -> Path:
    """Write six classes of ten RGB images of mixed sizes, each class of its own colour, and return the directory."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for c in range(CLASSES):
        (path / f"class{c}").mkdir(parents=True)
        for i in range(IMAGES):
            size = (int(draw.integers(12, 40)), int(draw.integers(12, 40)))
            noise = draw.integers(0, 60, (size[1], size[0], 3)) + np.array([30 * c, 180 - 30 * c, 90])
            Image.fromarray(noise.astype(np.uint8)).save(path / f"class{c}" / f"{i}.png")
    return path
