"""Image encoders under a head, for methods that tell classes apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zfscale.data.image_data import ImageData
from zfscale.data.images import load
from zfscale.models.adapters import Adapters
from zfscale.models.families.base import Family, Price
from zfscale.models.network import Network
from zfscale.models.precision import precision_of
from zfscale.models.vit import BaseModel, build, load_base

if TYPE_CHECKING:
    from zfscale.spec import ModelSpec, TrialSpec
    from zfscale.spec.sources import DatasetPath, HubDataset


class Classifier(Family):
    """Anything of the ViT family: images -> features, and a head of the method's."""

    def load(self, model: ModelSpec) -> BaseModel:
        return load_base(model.name, model.input_range)

    def images(self, source: str | HubDataset | DatasetPath | None, base: BaseModel, zoom: float = 1.0) -> ImageData:
        return load(source, round(base.pixels.size * zoom))

    def network(self, spec: TrialSpec, base: BaseModel, seed: int, adapters: bool = False) -> Network:
        encoder, m = build(base, spec.optimizing.attention), spec.method
        encoder.pixels = replace(base.pixels, zoom=spec.stream.zoom)
        room = Adapters(encoder.backbone, m.bottleneck, m.adapter_scale, m.adapter_dropout) if adapters else None
        return Network(encoder, room, precision_of(spec.train.precision, spec.engine.dtype))

    def price(self, spec: TrialSpec, base: BaseModel) -> Price:
        c = base.config
        return transformer_price(spec, base, (c.image_size // c.patch_size) ** 2 + 1)


def transformer_price(spec: TrialSpec, base: Any, tokens: int, vocabulary: int = 0) -> Price:
    """That of a transformer: 17 D + 2.5 heads N values a token and block (Korthikanti et al. 2022, eq. 2)."""
    c = base.config
    batch = spec.train.micro_batch_size or spec.train.batch_size
    return Price(
        weights=sum(w.size for w in base.weights.values()),
        adapter=c.num_hidden_layers * 2 * c.hidden_size * spec.method.bottleneck,
        block=batch * tokens * (17 * c.hidden_size + 5 * c.num_attention_heads * tokens // 2),
        blocks=c.num_hidden_layers,
        outputs=batch * tokens * vocabulary,
    )
