"""Image encoders: any ViT-family model that transformers' Auto classes load, as images -> features.

Shapes: B batch, N tokens, D hidden size.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from zfscale.errors import ModelError
from zfscale.models.directory import IMAGE_FILES
from zfscale.models.load import arrays, configuration, read_module, resolve
from zfscale.models.pixels import Pixels
from zfscale.models.processor import pixels_of

RANDOM = ("vit_mae",)  # masks its input at random: its features are no function of the image
POOLED = ("clip", "siglip")  # their image feature is the pooler's output, not the first token
CLS_NAMES = ("cls_token", "class_embedding")
UNUSED = ("pooler.", "mask_token")  # weights that the feature does not depend on


@dataclass(frozen=True)
class BaseModel:
    """A pretrained model as plain data, ready for an object store: config, weights as numpy, input contract."""

    name: str
    config: Any  # transformers.PretrainedConfig of the vision tower
    weights: dict[str, np.ndarray]
    pixels: Pixels


def load_base(name: str, input_range: str = "processor") -> BaseModel:
    """Read a model once: `embedded/<name>`, a local directory or a hub id; safetensors only.

    `input_range="unit"` feeds images in [0, 1] without the processor's mean and std, as the peers' toolbox does.
    Errors: ModelError if it cannot be read or is not an image encoder.
    """
    from transformers import AutoModel

    where = resolve(name)
    configuration(name, where, IMAGE_FILES)
    model = read_module(name, where, AutoModel, UNUSED)  # transformers reports the pooler that we do not use as missing
    tower = getattr(model, "vision_model", model)
    if tower.config.model_type in RANDOM:
        raise ModelError(f"model {name!r}: {tower.config.model_type} hides random patches of every image it is given")
    pixels = pixels_of(name, where, tower.config, input_range)
    used = {key: value for key, value in tower.state_dict().items() if not key.startswith("pooler.dense")}
    return BaseModel(name, tower.config, arrays(name, used), pixels)


class Encoder(nn.Module):
    """uint8 images [B, C, H, W] -> features [B, D]."""

    def __init__(self, backbone: nn.Module, pixels: Pixels) -> None:
        super().__init__()
        self.backbone = backbone
        self.pixels = pixels
        self.dtype = torch.float32  # of its computations
        config: Any = backbone.config
        self.width: int = config.hidden_size
        self.pooled = any(kind in config.model_type for kind in POOLED) and getattr(config, "vision_use_head", True)
        self.has_cls = any(n.endswith(CLS_NAMES) for n, _ in backbone.named_parameters())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        output = self.backbone(self.pixels(images, self.dtype))
        if self.pooled:
            return output.pooler_output
        tokens = output.last_hidden_state  # [B, N, D]
        return tokens[:, 0] if self.has_cls else tokens.mean(1)


def build(base: BaseModel, attention: str = "sdpa") -> Encoder:
    """A fresh float32 encoder with the base's weights; draws nothing from the caller's random state.

    `attention="eager"` gives an attention with a forward-mode derivative, which the fused kernels lack.
    """
    from transformers import AutoModel
    from transformers.initialization import no_init_weights

    config = copy.deepcopy(base.config)
    config._attn_implementation = attention
    with torch.random.fork_rng(devices=[]), no_init_weights():  # all that is kept is loaded
        backbone = AutoModel.from_config(config, dtype=torch.float32)
    if type(getattr(backbone, "pooler", None)).__name__.endswith("Pooler"):
        backbone.pooler = None  # never part of the feature, so it must not be trainable either
    backbone.load_state_dict({k: torch.tensor(v) for k, v in base.weights.items()})
    for parameter_name, parameter in backbone.named_parameters():
        if parameter_name.endswith("mask_token"):  # a pretraining task's; in no loss of ours
            parameter.requires_grad_(False)
    return Encoder(backbone, base.pixels).eval()
