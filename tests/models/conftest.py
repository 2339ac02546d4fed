"""Tiny random models of every family, saved as a user would have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 16,
    "patch_size": 8,
}


def make(family: str) -> Any:
    """A randomly initialised model of `family`, every weight of which is far from zero and one."""
    import transformers as hf

    beit: dict[str, Any] = {"use_relative_position_bias": True, "layer_scale_init_value": 0.5}
    text = {k: SHAPE[k] for k in list(SHAPE)[:4]} | {"vocab_size": 9, "bos_token_id": 0, "eos_token_id": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = {
            "vit": lambda: hf.ViTModel(hf.ViTConfig(**SHAPE)),
            "vit-classifier": lambda: hf.ViTForImageClassification(hf.ViTConfig(**SHAPE)),
            "deit": lambda: hf.DeiTModel(hf.DeiTConfig(**SHAPE)),
            "dinov2": lambda: hf.Dinov2Model(hf.Dinov2Config(**SHAPE, mlp_ratio=2, layerscale_value=0.5)),
            "beit": lambda: hf.BeitModel(hf.BeitConfig(**SHAPE, **beit)),
            "clip": lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**SHAPE)),
            "clip-with-text": lambda: hf.CLIPModel(hf.CLIPConfig(vision_config=SHAPE, text_config=text)),
            "siglip": lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**SHAPE)),
            "siglip-headless": lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**SHAPE, vision_use_head=False)),
        }[family]()
        for p in model.parameters():
            p.data.add_(torch.randn_like(p), alpha=0.1)
    return model.eval()


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family -> its directory, written once."""
    root = tmp_path_factory.mktemp("families")

    def path(family: str) -> Path:
        if not (root / family).exists():
            make(family).save_pretrained(root / family)
        return root / family

    return path


@pytest.fixture
def images() -> torch.Tensor:
    """uint8 [3, 3, 16, 16]."""
    return torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
