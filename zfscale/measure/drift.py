"""How far each layer of the pretrained model has moved: |theta - theta_0| / |theta_0|, Euclidean, over its weights."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zfscale.measure.catalogue import Row
from zfscale.measure.point import Point

BLOCK = re.compile(r"(.*?\.\d+)\.")  # a block of many, by its number


def drift(point: Point) -> Iterator[Row]:
    """One row a layer, `drift:NAME`, and `drift` of all weights together, as task 0.

    A layer is a numbered block, or else the module that has the weights. What a method adds, such as an adapter, was
    in no pretrained model, so it has no row; nor has a layer whose weights began at 0.
    """
    now = dict(point.learner.network.named_parameters())
    moved: dict[str, float] = {}
    began: dict[str, float] = {}
    for name, first in point.began().items():
        if name in now and now[name].shape == first.shape:
            layer, then, here = layer_of(name), first.double(), now[name].detach().double().cpu()
            moved[layer] = moved.get(layer, 0.0) + float((here - then).square().sum())
            began[layer] = began.get(layer, 0.0) + float(then.square().sum())
    for layer, square in moved.items():
        if began[layer]:
            yield 0, f"drift:{layer}", (square / began[layer]) ** 0.5
    if total := sum(began.values()):
        yield 0, "drift", (sum(moved.values()) / total) ** 0.5


def layer_of(name: str) -> str:
    """The layer of a parameter.

    >>> layer_of("encoder.backbone.layers.0.mlp.up.weight"), layer_of("encoder.embeddings.weight")
    ('encoder.backbone.layers.0', 'encoder.embeddings')
    """
    found = BLOCK.match(name)
    return found[1] if found else name.rpartition(".")[0]
