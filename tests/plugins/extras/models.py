"""A family of models that transformers does not know: a random perceptron on small pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from zfscale.data.image_data import ImageData
from zfscale.data.images import load
from zfscale.models.families.base import Family, Price
from zfscale.models.network import Network
from zfscale.models.pixels import Pixels
from zfscale.models.precision import precision_of
from zfscale.spec import ModelSpec, TrialSpec

SIDE, WIDTH = 8, 24


@dataclass(frozen=True)
class Base:
    """Weights as plain data."""

    name: str
    weights: dict[str, np.ndarray]


class Perceptron(nn.Module):
    """uint8 [B, 3, SIDE, SIDE] -> features [B, WIDTH]."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = Pixels(SIDE, 3, (0.5,) * 3, (0.5,) * 3)
        self.dtype, self.width = torch.float32, WIDTH
        self.layers = nn.Sequential(nn.Linear(3 * SIDE * SIDE, 32), nn.Tanh(), nn.Linear(32, WIDTH))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layers(self.pixels(images, self.dtype).flatten(1)))


class PerceptronNetwork(Network):
    """Saved as one file of tensors."""

    def save(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, out / "model.safetensors")


class Mlp(Family):
    """The same random weights for everyone."""

    def load(self, model: ModelSpec) -> Base:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Base(model.name, {name: value.numpy() for name, value in Perceptron().state_dict().items()})

    def images(self, source: Any, base: Base) -> ImageData:
        return load(source, SIDE)

    def network(self, spec: TrialSpec, base: Base, seed: int, adapters: bool = False) -> PerceptronNetwork:
        encoder: Any = Perceptron()
        encoder.load_state_dict({name: torch.tensor(value) for name, value in base.weights.items()})
        return PerceptronNetwork(encoder, None, precision_of(spec.train.precision, spec.engine.dtype))

    def price(self, spec: TrialSpec, base: Base) -> Price:
        batch = spec.train.micro_batch_size or spec.train.batch_size
        return Price(sum(w.size for w in base.weights.values()), 0, batch * (32 + WIDTH), 1)
