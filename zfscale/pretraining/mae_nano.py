"""Pretraining of embedded/mae-nano: a small ViTMAE that has seen Fashion-MNIST and nothing else.

The other embedded image datasets are what continual pre-training teaches it later.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zfscale.data.image_data import ImageData
from zfscale.data.images import DATASETS, load
from zfscale.data.masked_images import Patches, fit, hide, image_domain
from zfscale.models.load import EMBEDDED
from zfscale.models.masked_image import MaskedImageNetwork
from zfscale.models.pixels import Pixels
from zfscale.models.precision import PRECISIONS
from zfscale.pretraining.card import accuracy
from zfscale.pretraining.recipe import adamw

PIXELS = Pixels(size=28, channels=1, mean=(0.5,), std=(0.5,))
PATCHES = Patches(size=28, channels=1, side=4, hidden=37)  # 12 of 49 are seen
HELD_OUT = 2000  # images of each dataset, at most, that the final measurement reads
NANO: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "decoder_hidden_size": 32,
    "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 64,
    "image_size": 28,
    "patch_size": 4,
    "num_channels": 1,
    "mask_ratio": 0.75,
    "norm_pix_loss": False,
}


def build_mae_nano(
    epochs: int = 16, seed: int = 0, out: Path = EMBEDDED / "mae-nano", batch_size: int = 64, lr: float = 5e-3
) -> dict[str, float]:
    """Pretrain mae-nano on Fashion-MNIST and write it to `out`.

    Returns the held-out loss and the accuracy of the nearest class mean by dataset, before and after. The default takes
    a quarter of an hour of one core.
    """
    torch.manual_seed(seed)  # a command of its own process: the one place where the global generator is ours
    network = MaskedImageNetwork(_fresh(), PIXELS, "full", PRECISIONS["fp32"], seed)
    before = _measure(network)
    _train(network, load("fashion_mnist", 28), epochs, batch_size, lr)
    network.module.save_pretrained(out)
    PIXELS.save(out)
    facts = {"epochs": epochs, "seed": seed, **_measure(network)}
    facts |= {f"{name}_random_init": value for name, value in before.items()}
    (out / "pretraining.json").write_text(json.dumps(facts, indent=2) + "\n")
    return facts


def _fresh() -> nn.Module:
    """A ViTMAE from the global generator.

    NOTE: transformers 5.23 leaves the fixed sine and cosine positions of a new ViTMAE at zero, which would make all
    hidden patches alike; they are written here.
    """
    from transformers import ViTMAEConfig, ViTMAEForPreTraining
    from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding as positions

    cells = PIXELS.size // PATCHES.side
    model = ViTMAEForPreTraining(ViTMAEConfig(**NANO))
    for table in (model.vit.embeddings.position_embeddings, model.decoder.decoder_pos_embed):
        table.data.copy_(positions(cells, cells, table.shape[-1], cls_token=True))
    return model


def _train(network: MaskedImageNetwork, data: ImageData, epochs: int, batch_size: int, lr: float) -> None:
    """AdamW with linear warm-up over the first epoch, then cosine to 0; new masks in every epoch."""
    per_epoch = len(data.train_x) // batch_size
    optimizer, schedule = adamw(network, lr, 0.05, per_epoch * epochs, warm=per_epoch)
    network.train()
    for epoch in range(epochs):
        start, total = time.perf_counter(), 0.0
        inputs, labels = (torch.tensor(part) for part in hide(fit(data.train_x, PATCHES), PATCHES, 1000 + epoch))
        for rows in torch.randperm(len(inputs))[: per_epoch * batch_size].split(batch_size):
            loss = network.example_losses(network(inputs[rows]), labels[rows]).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(
            f"epoch {epoch + 1}/{epochs}: loss {total / per_epoch:.4f}, {time.perf_counter() - start:.0f} s", flush=True
        )


@torch.no_grad()
def _measure(network: MaskedImageNetwork) -> dict[str, float]:
    """On every dataset; all training images make the class means."""
    facts = {}
    network.eval()
    for name in DATASETS:
        task = image_domain(name, load(name, PATCHES.size), PATCHES, None, HELD_OUT)
        x, y = torch.tensor(task.held_out_x), torch.tensor(task.held_out_y)
        parts = zip(x.split(500), y.split(500), strict=True)
        losses = torch.cat([network.example_losses(network(a), b) for a, b in parts])
        assert task.train_labels is not None
        assert task.held_out_labels is not None
        labelled = ImageData(task.train_x, task.train_labels, task.held_out_x, task.held_out_labels, ())
        facts[f"{name}_loss"] = round(float(losses.double().mean()), 4)
        facts[f"{name}_prototype_accuracy"] = round(accuracy(partial(network, features=True), labelled), 4)
    return facts
