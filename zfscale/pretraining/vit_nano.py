"""`zfscale base build NAME`: pretrains the small models that the package carries.

vit-nano learns Fashion-MNIST with joint labels class x rotation (Lee et al., "Self-supervised label augmentation",
ICML 2020): four times the labels from the same pictures, which gives features that transfer better than ten classes do.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from zfscale.data.image_data import ImageData
from zfscale.data.images import load
from zfscale.models.load import EMBEDDED
from zfscale.models.pixels import Pixels
from zfscale.models.vit import Encoder
from zfscale.pretraining.card import accuracy

PIXELS = Pixels(size=28, channels=1, mean=(0.5,), std=(0.5,))
NANO: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "image_size": 28,
    "patch_size": 4,
    "num_channels": 1,
}
ROTATIONS = 4


def build_vit_nano(epochs: int = 16, seed: int = 0, out: Path = EMBEDDED / "vit-nano") -> dict[str, float]:
    """Pretrain vit-nano on Fashion-MNIST and write it to `out`; returns the measured accuracies."""
    torch.manual_seed(seed)  # a command of its own process: the one place where the global generator is ours
    encoder = Encoder(_nano_backbone(), PIXELS)
    mnist = load("mnist5k", 28)
    random_acc = accuracy(encoder.eval(), mnist)
    fashion = load("fashion_mnist", 28)
    head = nn.Linear(encoder.width, len(fashion.classes) * ROTATIONS)
    _train(encoder, head, fashion, epochs, batch_size=128, lr=2e-3)
    result = {
        "fashion_mnist_accuracy": _classifier_accuracy(encoder, head, fashion),
        "mnist5k_prototype_accuracy": accuracy(encoder, mnist),
        "mnist5k_prototype_accuracy_random_init": random_acc,
    }
    _save(encoder, out, {"epochs": epochs, "seed": seed, **result})
    return result


def _nano_backbone() -> nn.Module:
    from transformers import ViTConfig, ViTModel

    return ViTModel(ViTConfig(**NANO), add_pooling_layer=False)


def _train(encoder: Encoder, head: nn.Linear, data: ImageData, epochs: int, batch_size: int, lr: float) -> None:
    """AdamW with linear warm-up over the first epoch, then cosine to 0."""
    params = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(params, lr=lr, weight_decay=0.05)
    x, y = torch.tensor(data.train_x), torch.tensor(data.train_y)
    per_epoch = len(x) // batch_size
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1, s / per_epoch) * 0.5 * (1 + math.cos(math.pi * s / (per_epoch * epochs)))
    )
    encoder.train()
    for epoch in range(epochs):
        start, total = time.perf_counter(), 0.0
        for rows in torch.randperm(len(x))[: per_epoch * batch_size].split(batch_size):
            turns = torch.randint(ROTATIONS, (len(rows),))
            images = augment(rotate(x[rows], turns))
            loss = F.cross_entropy(head(encoder(images)), y[rows] * ROTATIONS + turns, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(params, 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(
            f"epoch {epoch + 1}/{epochs}: loss {total / per_epoch:.3f}, {time.perf_counter() - start:.0f} s",
            flush=True,
        )
    encoder.eval()


def rotate(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Each image of [B, C, H, W] turned by turns[b] quarter turns."""
    out = images.clone()
    for k in range(1, ROTATIONS):
        out[turns == k] = torch.rot90(images[turns == k], k, dims=(2, 3))
    return out


def augment(images: torch.Tensor) -> torch.Tensor:
    """Random affine change a picture: +-15 degrees, scale 0.6 to 1.1, stretch, shear, shift up to 4 pixels of 28."""
    n = len(images)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(n) * (high - low) + low

    angle, zoom = uniform(-math.pi / 12, math.pi / 12), 1 / uniform(0.6, 1.1)
    sx, sy, shear = zoom * uniform(0.85, 1.2), zoom * uniform(0.85, 1.2), uniform(-0.2, 0.2)
    cos, sin = torch.cos(angle), torch.sin(angle)
    theta = torch.stack(
        [
            torch.stack([sx * cos, sx * (shear - sin), uniform(-0.28, 0.28)], 1),
            torch.stack([sy * sin, sy * cos, uniform(-0.28, 0.28)], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, [n, *images.shape[1:]], align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False).round_().clamp_(0, 255).to(torch.uint8)


@torch.no_grad()
def _map(f: Callable[[torch.Tensor], torch.Tensor], x: np.ndarray, batch: int = 500) -> torch.Tensor:
    return torch.cat([f(part) for part in torch.tensor(x).split(batch)])


def _classifier_accuracy(encoder: Encoder, head: nn.Linear, data: ImageData) -> float:
    logits: torch.Tensor = _map(lambda x: head(encoder(x))[:, ::ROTATIONS], data.test_x)  # the labels of rotation 0
    return float((logits.argmax(1).numpy() == data.test_y).mean())


def _save(encoder: Encoder, out: Path, facts: dict[str, float]) -> None:
    encoder.backbone.save_pretrained(out)  # type: ignore[operator]
    PIXELS.save(out)
    (out / "pretraining.json").write_text(json.dumps(facts, indent=2) + "\n")
