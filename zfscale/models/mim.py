"""Masked image models: a ViT with a decoder that predicts the pixels of the patches that are hidden from it.

ViTMAE (He et al., CVPR 2022) encodes the visible patches alone; the heads of ViT and DeiT put a token in the place of
the hidden ones, after SimMIM (Xie et al., CVPR 2022).
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

MAE = "vit_mae"
FAMILIES = (MAE, "vit", "deit")
SIMMIM_RATIO = 0.6  # SimMIM's share of hidden patches; the configurations of these heads do not say


@dataclass(frozen=True)
class MaskedImageBase:
    """A pretrained masked image model as plain data, ready for an object store."""

    name: str
    config: Any  # transformers.PretrainedConfig
    weights: dict[str, np.ndarray]
    pixels: Pixels

    @property
    def hidden(self) -> int:
        """How many of an image's patches the model does not see."""
        patches = (self.config.image_size // self.config.patch_size) ** 2
        ratio = self.config.mask_ratio if self.config.model_type == MAE else SIMMIM_RATIO
        return patches - int(patches * (1 - ratio))  # ViTMAE's own rounding


def load_mim(name: str, input_range: str = "processor") -> MaskedImageBase:
    """Read a model once: `embedded/<name>`, a local directory or a hub id; safetensors only.

    `input_range` is as `load_base` has it. Errors: ModelError if it cannot be read, is of no family in `FAMILIES`, or
    comes without a trained decoder.
    """
    where = resolve(name)
    config = configuration(name, where, IMAGE_FILES)
    pixels = _checked(name, where, config, input_range)
    model = read_module(name, where, _auto(config), config=config)
    return MaskedImageBase(name, config, arrays(name, model.state_dict()), pixels)


def build_mim(base: MaskedImageBase, attention: str = "sdpa") -> nn.Module:
    """A fresh float32 module with the base's weights, in eval mode; draws nothing from the caller's random state.

    `attention="eager"` gives an attention with a forward-mode derivative, which the fused kernels lack.
    """
    module = _blank(base, attention)
    module.load_state_dict({k: torch.tensor(v) for k, v in base.weights.items()})
    return module.eval()


def outline_mim(base: MaskedImageBase) -> nn.Module:
    """The module of `build_mim` on the meta device: its parts and their names, no weights."""
    with torch.device("meta"):
        return _blank(base)


def _blank(base: MaskedImageBase, attention: str = "sdpa") -> nn.Module:
    config = copy.deepcopy(base.config)
    config._attn_implementation = attention
    with torch.random.fork_rng(devices=[]):
        return _auto(config).from_config(config, dtype=torch.float32)


def _checked(name: str, where: str, config: Any, input_range: str) -> Pixels:
    """The model's input contract, if it is a masked image model that can be trained."""
    if config.model_type not in FAMILIES:
        raise ModelError(f"model {name!r} ({config.model_type}): masked image models are {', '.join(FAMILIES)}")
    pixels = pixels_of(name, where, config, input_range)
    if pixels.size % config.patch_size:
        raise ModelError(f"model {name!r}: patches of {config.patch_size} do not fill {pixels.size} pixels")
    if config.model_type != MAE and config.encoder_stride != config.patch_size:
        raise ModelError(f"model {name!r}: its encoder_stride, {config.encoder_stride}, is not its patch_size")
    return pixels


def _auto(config: Any) -> Any:
    from transformers import AutoModelForMaskedImageModeling, AutoModelForPreTraining

    return AutoModelForPreTraining if config.model_type == MAE else AutoModelForMaskedImageModeling
