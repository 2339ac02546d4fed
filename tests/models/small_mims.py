"""Tiny random masked image models, saved as a user would have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 12,
    "patch_size": 4,
}
DECODER = {f"decoder_{key}": value for key, value in SHAPE.items() if key not in ("image_size", "patch_size")}
FAMILIES = ("vit_mae", "vit_mae-normalised", "vit", "deit")


def make(family: str, channels: int = 3) -> Any:
    """A model of `family`, every weight of which is far from zero and one."""
    import transformers as hf

    mae = hf.ViTMAEConfig(**SHAPE, **DECODER, num_channels=channels, norm_pix_loss=family.endswith("normalised"))
    head = {**SHAPE, "num_channels": channels, "encoder_stride": 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = {
            "vit_mae": lambda: hf.ViTMAEForPreTraining(mae),
            "vit_mae-normalised": lambda: hf.ViTMAEForPreTraining(mae),
            "vit": lambda: hf.ViTForMaskedImageModeling(hf.ViTConfig(**head)),
            "deit": lambda: hf.DeiTForMaskedImageModeling(hf.DeiTConfig(**head)),
        }[family]()
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


def saved(family: str, path: Path, channels: int = 3) -> str:
    """Its directory."""
    make(family, channels).save_pretrained(path)
    return str(path)
