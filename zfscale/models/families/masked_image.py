"""Masked image models that go on with their pretraining."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from zfscale.data.examples import Examples
from zfscale.data.image_data import ImageData
from zfscale.data.images import load
from zfscale.data.masked_images import Patches, image_domain
from zfscale.data.overlap import say_shared_domains
from zfscale.models.families.base import Family, Price, Reader
from zfscale.models.families.classifier import transformer_price
from zfscale.models.masked_image import MaskedImageNetwork
from zfscale.models.mim import MaskedImageBase, build_mim, load_mim, outline_mim
from zfscale.models.precision import precision_of

if TYPE_CHECKING:
    from zfscale.spec import DomainSpec, ModelSpec, StreamSpec, TrialSpec


class Pictures(Reader):
    """Images of the domains of a stream, some patches of each hidden."""

    def __init__(self, stream: StreamSpec, base: MaskedImageBase) -> None:
        c = base.config
        self._patches = Patches(c.image_size, c.num_channels, c.patch_size, base.hidden)
        self._held_out = stream.held_out_images
        self.learned = stream.images_per_domain
        self._whole: list[tuple[str, ImageData]] = []

    def read(self, domain: DomainSpec, budget: int | None) -> Examples:
        data = load(domain.source, self._patches.size)
        self._whole.append((domain.name, data))
        return image_domain(domain.name, data, self._patches, budget, self._held_out)

    def close(self) -> None:
        say_shared_domains(self._whole)


class MaskedImage(Family):
    """An image comes with the mask that hides some of its patches; its target are the pixels there."""

    def load(self, model: ModelSpec) -> MaskedImageBase:
        return load_mim(model.name, model.input_range)

    def outline(self, base: MaskedImageBase) -> nn.Module:
        return outline_mim(base)

    def reader(self, stream: StreamSpec, base: MaskedImageBase) -> Pictures:
        return Pictures(stream, base)

    def network(self, spec: TrialSpec, base: MaskedImageBase, seed: int, adapters: bool = False) -> MaskedImageNetwork:
        m, precision = spec.model, precision_of(spec.train.precision, spec.engine.dtype)
        lora = {"lora_rank": m.lora_rank, "lora_alpha": m.lora_alpha}
        module = build_mim(base, spec.optimizing.attention)
        return MaskedImageNetwork(module, base.pixels, m.train, precision, seed, **lora)

    def price(self, spec: TrialSpec, base: MaskedImageBase) -> Price:
        c = base.config
        return transformer_price(spec, base, (c.image_size // c.patch_size) ** 2 + 1)
