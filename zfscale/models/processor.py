"""What an image processor's file says of a model's inputs."""

from __future__ import annotations

import logging
import math
from typing import Any

from zfscale.errors import ModelError
from zfscale.models.config import CHANNELS
from zfscale.models.load import quiet, reading
from zfscale.models.pixels import Pixels

DEFAULT = 0.5  # ViT's own mean and standard deviation

log = logging.getLogger(__name__)


def pixels_of(name: str, where: str, config: Any, input_range: str) -> Pixels:
    """The input contract of a model: the sizes of its configuration, the statistics of its image processor.

    Errors: ModelError if it does not take square images of one size in grey or RGB, or if its processor's file is
    broken.
    """
    size, channels = getattr(config, "image_size", None), getattr(config, "num_channels", None)
    if isinstance(size, (list, tuple)) and len(set(size)) == 1:
        size = size[0]
    if not isinstance(size, int) or not isinstance(channels, int):
        raise ModelError(f"model {name!r} ({config.model_type}) is not an image encoder with one square input size")
    if channels not in CHANNELS:
        raise ModelError(f"model {name!r}: config.json: num_channels: {channels} given; allowed: 1 (grey) or 3 (RGB)")
    if input_range == "unit":
        return Pixels(size, channels, (0.0,) * channels, (1.0,) * channels)
    stats = _processor(name, where)
    mean = _per_channel(name, stats, "image_mean", channels)
    std = _per_channel(name, stats, "image_std", channels)
    if not stats.get("do_normalize", True):
        mean, std = (0.0,) * channels, (1.0,) * channels
    scale = _scale(name, stats)  # of the model's inputs, over 0..1
    return Pixels(size, channels, tuple(m / scale for m in mean), tuple(s / scale for s in std))


def _processor(name: str, where: str) -> dict[str, Any]:
    """The processor's settings; empty, with a warning, if the model has none."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        with reading(name, where), quiet():
            return dict(ImageProcessingMixin.get_image_processor_dict(where)[0])
    except ModelError as error:
        if not isinstance(error.__cause__, OSError) or "Can't load image processor" not in str(error.__cause__):
            raise
    log.warning("model %s has no image processor: taking ViT's own mean = std = 0.5", name)
    return {}


def _per_channel(name: str, stats: dict[str, Any], key: str, channels: int) -> tuple[float, ...]:
    """One number a channel; a single one goes for all."""
    given = stats.get(key)
    values = given if isinstance(given, list) else [DEFAULT if given is None else given]
    least = 1e-12 if key == "image_std" else -math.inf
    fits = all(_is_number(value) and value >= least for value in values)
    if not fits or len(values) not in (1, channels):
        allowed = f"{channels} numbers or one" if channels > 1 else "one number"
        above = " above 0" if key == "image_std" else ""
        file = "preprocessor_config.json"
        raise ModelError(f"model {name!r}: {file}: {key}: {given!r} given; allowed: {allowed}{above}")
    return tuple(map(float, values)) * (channels // len(values))


def _scale(name: str, stats: dict[str, Any]) -> float:
    """What the processor makes of white before it normalises: 1, unless it rescales otherwise or not at all."""
    if not stats.get("do_rescale", True):
        return 255.0
    factor = stats.get("rescale_factor", 1 / 255)
    if not _is_number(factor) or factor <= 0:
        file = "preprocessor_config.json"
        raise ModelError(f"model {name!r}: {file}: rescale_factor: {factor!r} given; allowed: a number above 0")
    scale = float(factor) * 255
    return 1.0 if math.isclose(scale, 1, rel_tol=1e-6) else scale


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
