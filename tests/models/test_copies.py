"""Copies of the last block and the final norm give what an encoder with their weights gives."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from zfscale.errors import ModelError
from zfscale.models.copies import Copies
from zfscale.models.pixels import Pixels
from zfscale.models.vit import Encoder

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 8,
    "patch_size": 4,
    "num_channels": 1,
}
IMAGES = torch.tensor(np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8))


def encoder(kind: str, layers: int = 2) -> Encoder:
    config = AutoConfig.for_model(kind, **SIZES | {"num_hidden_layers": layers})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = AutoModel.from_config(config)
    return Encoder(backbone, Pixels(8, 1, (0.5,), (0.5,))).eval()


def last(made: Encoder) -> nn.ModuleList:
    """The last block and the final norm, found by name."""
    parts = dict(made.backbone.named_modules())
    stack = next(parts[name] for name in ("layers", "encoder.layer", "encoder.layers") if name in parts)
    return nn.ModuleList([stack[-1], parts["layernorm" if "layernorm" in parts else "post_layernorm"]])


@pytest.mark.parametrize("kind", ["vit", "dinov2", "beit", "clip_vision_model", "siglip_vision_model"])
@torch.no_grad()
def test_features_are_those_of_encoders_with_the_copies_weights(kind):
    made = encoder(kind)
    expected = [made(IMAGES)]
    copies = Copies(made)
    torch.testing.assert_close(made(IMAGES), expected[0])
    for seed in (1, 2):
        copies.pairs.append(copies.fresh())
        torch.testing.assert_close(made(IMAGES)[:, -16:], expected[-1])  # a copy begins as the newest one is
        generator = torch.Generator().manual_seed(seed)
        for parameter in copies.pairs[-1].parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
        other = encoder(kind)
        last(other).load_state_dict(copies.pairs[-1].state_dict())
        expected.append(other(IMAGES))
        assert not torch.allclose(expected[-1], expected[-2])
        torch.testing.assert_close(made(IMAGES), torch.cat(expected, 1))
    assert len(copies) == 3


def test_a_copy_has_weights_and_no_hooks_of_its_own():
    made = encoder("vit")
    copies = Copies(made)
    fresh = copies.fresh()
    own = {id(p) for p in made.parameters()}
    assert not own & {id(p) for p in fresh.parameters()}
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in fresh.modules())
    assert not list(copies.parameters()), "the backbone's own stay the backbone's"


def test_a_backbone_without_blocks_or_norm_is_refused():
    bare, normless = encoder("vit"), encoder("vit")
    bare.backbone.layers = nn.Sequential()
    with pytest.raises(ModelError, match="no stack of blocks"):
        Copies(bare)
    normless.backbone.last = copy.deepcopy(normless.backbone.layernorm)
    del normless.backbone.layernorm
    with pytest.raises(ModelError, match="no final norm"):
        Copies(normless)
