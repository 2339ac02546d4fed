"""What `config.json` of a model may say: transformers lets numbers through that divide by zero or shape no tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zfscale.errors import ModelError

CHANNELS = (1, 3)  # of pictures: grey or RGB
OPTIONAL = ("ffn_dim", "head_dim", "intermediate_size", "n_inner", "num_key_value_heads")  # null: the family's own
SIZES = (
    *("hidden_size", "n_embd", "d_model", "num_hidden_layers", "n_layer", "num_layers", "num_attention_heads"),
    *("n_head", "num_heads", "vocab_size", "image_size", "patch_size", "num_channels", "encoder_stride"),
    *("decoder_hidden_size", "decoder_num_hidden_layers", "decoder_num_attention_heads", "decoder_intermediate_size"),
    *OPTIONAL,
)
LARGEST = 2**24  # more than any dimension in use; a larger number is a slip, and would fill the memory
PARTS = ("text_config", "vision_config")


def check_config(name: str, config: Mapping[str, Any]) -> None:
    """ModelError, with key, value and what is allowed, if the configuration of the model `name` can be no model's."""
    where = f"model {name!r}: config.json"
    if "model_type" not in config and "architecture" in config:
        form = "a directory of transformers' save_pretrained is needed; many timm models are on the hub in that format"
        raise ModelError(f"{where}: architecture: the model is in timm's format; {form}")
    if not isinstance(config.get("model_type"), str):
        kind = f"{config['model_type']!r} given" if "model_type" in config else "missing"
        raise ModelError(f"{where}: model_type: {kind}; allowed: the name of an architecture of transformers")
    if config.get("quantization_config"):
        raise ModelError(f"model {name!r}: its weights are quantised; a checkpoint in floating point is needed")
    _check_sizes(where, config, "")
    for part in PARTS:
        if isinstance(config.get(part), dict):
            _check_sizes(where, config[part], f"{part}.")


def _check_sizes(where: str, config: Mapping[str, Any], prefix: str) -> None:
    for key in SIZES:
        if key in config and not _is_size(config[key], key in OPTIONAL):
            allowed = f"a whole number from 1 to {LARGEST}"
            raise ModelError(f"{where}: {prefix}{key}: {config[key]!r} given; allowed: {allowed}")
    for key, value in config.items():
        if isinstance(value, float) and math.isnan(value):
            raise ModelError(f"{where}: {prefix}{key}: NaN given; allowed: a number")
    image, patch, channels = (config.get(key) for key in ("image_size", "patch_size", "num_channels"))
    if isinstance(channels, int) and channels not in CHANNELS:
        raise ModelError(f"{where}: {prefix}num_channels: {channels} given; allowed: 1 (grey) or 3 (RGB)")
    if isinstance(image, int) and isinstance(patch, int):
        if patch > image:
            raise ModelError(f"{where}: {prefix}patch_size: {patch} given; allowed: 1 to {image}, the image_size")
        _check_heads(where, config, prefix, "")
        _check_heads(where, config, prefix, "decoder_")
    ratio = config.get("mask_ratio", 0.75)
    if not isinstance(ratio, (int, float)) or not 0 < ratio < 1:
        raise ModelError(f"{where}: {prefix}mask_ratio: {ratio!r} given; allowed: more than 0, less than 1")


def _check_heads(where: str, config: Mapping[str, Any], prefix: str, side: str) -> None:
    """Heads divide the width in every image encoder."""
    width, heads = (config.get(f"{side}{key}") for key in ("hidden_size", "num_attention_heads"))
    if isinstance(width, int) and isinstance(heads, int) and width % heads:
        allowed = f"a number that divides {side}hidden_size, {width}"
        raise ModelError(f"{where}: {prefix}{side}num_attention_heads: {heads} given; allowed: {allowed}")


def _is_size(value: Any, optional: bool) -> bool:
    """A count or a length; of some families a list with one for each stage or side."""
    if isinstance(value, list):
        return bool(value) and all(_is_size(one, False) for one in value)
    if value is None:
        return optional
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST
