"""Masked image models: a ViT with a decoder that predicts the pixels of the patches that are hidden from it.

ViTMAE (He et al., CVPR 2022) encodes the visible patches alone; the heads of ViT and DeiT put a token in the place of
the hidden ones, after SimMIM (Xie et al., CVPR 2022).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from zfscale.errors import ModelError
from zfscale.models.lm import UNREADABLE
from zfscale.models.pixels import Pixels
from zfscale.models.vit import pixels_of, quiet, resolve, to_numpy

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
    from transformers import AutoConfig

    where = resolve(name)
    with _reading(name):
        config = AutoConfig.from_pretrained(where, trust_remote_code=False)
    pixels = _checked(name, where, config, input_range)
    with _reading(name), quiet():
        model, report = _auto(config).from_pretrained(
            where, config=config, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"model {name!r}: its checkpoint lacks {len(missing)} weights, {missing[0]} for one")
    return MaskedImageBase(name, config, {k: to_numpy(v) for k, v in model.state_dict().items()}, pixels)


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


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """What transformers says of a model that cannot be read, as one line."""
    try:
        yield
    except UNREADABLE as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(f"model {name!r} cannot be loaded: {reason}") from error


def _auto(config: Any) -> Any:
    from transformers import AutoModelForMaskedImageModeling, AutoModelForPreTraining

    return AutoModelForPreTraining if config.model_type == MAE else AutoModelForMaskedImageModeling
