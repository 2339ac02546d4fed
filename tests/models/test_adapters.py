"""Adapters in every family, and the whole adapted ViT against the formulas written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from zfscale.errors import ModelError
from zfscale.models.adapters import Adapter, Adapters
from zfscale.models.vit import build, load_base

FFN = {  # FFN(LN h) of a block, its layer scale included
    "vit": lambda b, h: b.mlp(b.layernorm_after(h)),
    "deit": lambda b, h: b.mlp(b.layernorm_after(h)),
    "dinov2": lambda b, h: b.layer_scale2.lambda1 * b.mlp(b.norm2(h)),
    "beit": lambda b, h: b.lambda_2 * b.mlp(b.layernorm_after(h)),
    "clip": lambda b, h: b.mlp(b.layer_norm2(h)),
    "siglip": lambda b, h: b.mlp(b.layer_norm2(h)),
}


def adapted(saved, family, scale=0.1, dropout=0.1):
    encoder = build(load_base(str(saved(family))))
    return encoder, Adapters(encoder.backbone, 4, scale, dropout)


def randomise(adapters, index=-1):
    g = torch.Generator().manual_seed(7)
    adapters.eval()  # no dropout
    for p in adapters.sets[index].parameters():
        p.data.copy_(torch.randn(p.shape, generator=g))


def value(adapter, h, scale):
    """scale * U relu(D h), from the bare matrices."""
    hidden = (h @ adapter.down.weight.T + adapter.down.bias).clamp(min=0)
    return scale * (hidden @ adapter.up.weight.T + adapter.up.bias)


@pytest.mark.parametrize("family", FFN)
@torch.no_grad()
def test_a_fresh_adapter_changes_nothing_and_another_one_does(family, saved, images):
    encoder, adapters = adapted(saved, family)
    plain = build(load_base(str(saved(family))))(images)
    assert torch.equal(encoder(images), plain)  # no set yet
    adapters.add(seed=1)
    assert torch.equal(encoder(images), plain)
    randomise(adapters)
    assert (encoder(images) - plain).abs().max() > 1e-2
    adapters.active = None
    assert torch.equal(encoder(images), plain)


@pytest.mark.parametrize("family", FFN)
@torch.no_grad()
def test_a_block_computes_the_formula(family, saved, images):
    """out = h + FFN(LN h) + scale U relu(D h), with h and out seen from outside."""
    encoder, adapters = adapted(saved, family, scale=0.7)
    adapters.add(seed=1)
    randomise(adapters)
    assert len(adapters._blocks) == 2
    for position, (block, norm) in enumerate(adapters._blocks):
        seen: dict[Any, Any] = {}
        handles = [
            norm.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.update(h=inputs[0])),
            block.register_forward_hook(lambda *a, seen=seen: seen.update(out=a[2])),
        ]
        encoder(images)
        for handle in handles:
            handle.remove()
        h, out = seen["h"], seen["out"][0] if isinstance(seen["out"], tuple) else seen["out"]
        expected = h + FFN[family](block, h) + value(adapters.sets[0][position], h, 0.7)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_adapted_vit_is_the_paper_written_out(saved, images):
    """An independent forward of the whole encoder, from the matrices of its state dict alone."""
    encoder, adapters = adapted(saved, "vit", scale=0.3)
    adapters.add(seed=1)
    randomise(adapters)
    w = encoder.backbone.state_dict()
    eps = encoder.backbone.config.layer_norm_eps

    def linear(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, x):
        centred = x - x.mean(-1, keepdim=True)
        deviation = (centred.square().mean(-1, keepdim=True) + eps).sqrt()
        return centred / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]

    def heads(x):  # [B, N, D] -> [B, 2, N, D/2]
        return x.view(*x.shape[:2], 2, -1).transpose(1, 2)

    x = images.float() / 127.5 - 1
    patches = F.unfold(x, 8, stride=8).transpose(1, 2)  # [B, N, C * 8 * 8]
    kernel = w["embeddings.patch_embeddings.projection.weight"].flatten(1)
    tokens = patches @ kernel.T + w["embeddings.patch_embeddings.projection.bias"]
    x = torch.cat([w["embeddings.cls_token"].expand(3, -1, -1), tokens], 1) + w["embeddings.position_embeddings"]
    for i in range(2):
        a = norm(f"layers.{i}.layernorm_before", x)
        q, k, v = (heads(linear(f"layers.{i}.attention.{n}_proj", a)) for n in "qkv")
        attention = ((q @ k.transpose(2, 3)) / math.sqrt(8)).softmax(-1) @ v
        h = x + linear(f"layers.{i}.attention.o_proj", attention.transpose(1, 2).flatten(2))
        inner = linear(f"layers.{i}.mlp.fc1", norm(f"layers.{i}.layernorm_after", h))
        gelu = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
        x = h + linear(f"layers.{i}.mlp.fc2", gelu) + value(adapters.sets[0][i], h, 0.3)
    torch.testing.assert_close(encoder(images), norm("layernorm", x)[:, 0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_sets_are_separate_and_chosen_by_active(saved, images):
    encoder, adapters = adapted(saved, "vit")
    assert [adapters.add(seed=s) for s in (1, 2)] == [0, 1]
    assert adapters.active == 1
    randomise(adapters, 0)
    plain = encoder(images)
    adapters.active = 0
    first = encoder(images)
    assert not torch.equal(first, plain)
    adapters.active = 1
    assert torch.equal(encoder(images), plain)


def test_initialisation():
    g = torch.Generator().manual_seed(0)
    adapter = Adapter(width=400, bottleneck=32, scale=0.1, dropout=0.1, generator=g)
    assert not any(p.any() for p in (adapter.down.bias, adapter.up.weight, adapter.up.bias))
    bound = math.sqrt(6 / ((1 + 5) * 400))  # Kaiming-uniform, a = sqrt 5, fan-in 400
    weight = adapter.down.weight.detach()
    assert 0.99 * bound < weight.abs().max() <= bound
    assert float(weight.var()) == pytest.approx(bound**2 / 3, rel=0.05)


def test_initialisation_is_a_function_of_the_seed(saved):
    _, adapters = adapted(saved, "vit")
    before = torch.random.get_rng_state()
    for seed in (1, 1, 2):
        adapters.add(seed)
    a, b, c = ([m.down.weight for m in s] for s in adapters.sets)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(a[0], c[0])
    assert not torch.equal(a[0], a[1])  # the blocks of a set differ
    assert torch.equal(before, torch.random.get_rng_state())


def test_dropout_acts_while_training_only():
    adapter = Adapter(8, 64, 1.0, 0.5, torch.Generator().manual_seed(0))
    torch.nn.init.normal_(adapter.up.weight)
    h = torch.randn(2, 3, 8)
    assert not torch.equal(adapter(h), adapter(h))
    torch.testing.assert_close(adapter.eval()(h), value(adapter, h, 1.0))


def test_parameters_on_vit_b16():
    """The count of the literature. The backbone is never allocated, and the adapters are made where it is."""
    from transformers import ViTConfig, ViTModel

    with torch.device("meta"):
        backbone = ViTModel(ViTConfig(), add_pooling_layer=False)
    adapters = Adapters(backbone, bottleneck=64, scale=0.1, dropout=0.1)
    assert sum(1 for _ in adapters.parameters()) == 0  # the backbone's are not its own
    adapters.add(seed=0)
    assert sum(p.numel() for p in adapters.parameters()) == 1_189_632
    assert {p.device.type for p in adapters.parameters()} == {"meta"}


def test_a_backbone_without_blocks_is_a_model_error():
    from transformers import ResNetConfig, ResNetModel

    backbone = ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1]))
    backbone.config.hidden_size = 4
    with pytest.raises(ModelError, match="ResNetModel: no transformer block"):
        Adapters(backbone, 4, 0.1, 0.1)
