"""Image encoders: any ViT-family model that transformers' Auto classes load, as images -> features.

Shapes: B batch, N tokens, D hidden size.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn

from zfscale.errors import ModelError, nearest
from zfscale.models.pixels import Pixels

EMBEDDED = Path(__file__).parent / "embedded"
RANDOM = ("vit_mae",)  # masks its input at random: its features are no function of the image
POOLED = ("clip", "siglip")  # their image feature is the pooler's output, not the first token
CLS_NAMES = ("cls_token", "class_embedding")
UNUSED = ("pooler.", "mask_token")  # weights that the feature does not depend on

log = logging.getLogger(__name__)


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
    try:
        with quiet():  # transformers reports the pooler that we do not use as missing
            model, report = AutoModel.from_pretrained(
                where, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(f"model {name!r} cannot be loaded: {reason}") from error
    if missing := sorted(k for k in report["missing_keys"] if not any(part in k for part in UNUSED)):
        raise ModelError(f"model {name!r}: its checkpoint lacks {len(missing)} weights, {missing[0]} for one")
    tower = getattr(model, "vision_model", model)
    if tower.config.model_type in RANDOM:
        raise ModelError(f"model {name!r}: {tower.config.model_type} hides random patches of every image it is given")
    weights = {k: to_numpy(v) for k, v in tower.state_dict().items() if not k.startswith("pooler.dense")}
    return BaseModel(name, tower.config, weights, pixels_of(name, where, tower.config, input_range))


def resolve(name: str) -> str:
    """What transformers is given for `name`: a directory for embedded and local models, else the hub id."""
    if name.startswith("embedded/"):
        path = EMBEDDED / name.removeprefix("embedded/")
        if not path.is_dir():
            known = [f"embedded/{d.name}" for d in EMBEDDED.iterdir() if d.is_dir()]
            raise ModelError(f"model {name!r}: no such embedded model; {nearest(name, known)}")
        return str(path)
    local = Path(name).expanduser()
    return str(local) if local.is_dir() else name


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

    config = copy.deepcopy(base.config)
    config._attn_implementation = attention
    with torch.random.fork_rng(devices=[]):
        backbone = AutoModel.from_config(config, dtype=torch.float32)
    if type(getattr(backbone, "pooler", None)).__name__.endswith("Pooler"):
        backbone.pooler = None  # never part of the feature, so it must not be trainable either
    backbone.load_state_dict({k: torch.tensor(v) for k, v in base.weights.items()})
    for parameter_name, parameter in backbone.named_parameters():
        if parameter_name.endswith("mask_token"):  # a pretraining task's; in no loss of ours
            parameter.requires_grad_(False)
    return Encoder(backbone, base.pixels).eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' warnings and progress bars."""
    from transformers.utils import logging as hf

    level, bar = hf.get_verbosity(), hf.is_progress_bar_enabled()
    hf.set_verbosity_error()
    hf.disable_progress_bar()
    try:
        yield
    finally:
        hf.set_verbosity(level)
        if bar:
            hf.enable_progress_bar()


def pixels_of(name: str, where: str, config: Any, input_range: str) -> Pixels:
    """The input contract of a model: the sizes of its configuration, the statistics of its image processor.

    Errors: ModelError if it does not take square images of one size.
    """
    from transformers.image_processing_base import ImageProcessingMixin

    size, channels = getattr(config, "image_size", None), getattr(config, "num_channels", None)
    if not isinstance(size, int) or not isinstance(channels, int):
        raise ModelError(f"model {name!r} ({config.model_type}) is not an image encoder with one square input size")
    if input_range == "unit":
        return Pixels(size, channels, (0.0,) * channels, (1.0,) * channels)
    try:
        stats, _ = ImageProcessingMixin.get_image_processor_dict(where)
    except OSError:
        log.warning("model %s has no image processor: taking ViT's own mean = std = 0.5", name)
        stats = {}
    mean, std = stats.get("image_mean") or 0.5, stats.get("image_std") or 0.5
    if not stats.get("do_normalize", True):
        mean, std = 0.0, 1.0
    return Pixels(size, channels, _per_channel(mean, channels), _per_channel(std, channels))


def _per_channel(value: float | list[float], channels: int) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(values) if len(values) == channels else (float(np.mean(values)),) * channels


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Floating point as float32, the rest as it is."""
    return tensor.detach().to(torch.float32).numpy() if tensor.is_floating_point() else tensor.numpy()
