"""Adapters in language models: parallel to the FFN where its norm comes first, refused elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_lms import make

from zfscale.errors import ModelError
from zfscale.models.language import LanguageNetwork
from zfscale.models.precision import PRECISIONS

TOKENS = torch.randint(0, 256, (2, 12), generator=torch.Generator().manual_seed(1))

FFN = {  # (the block's FFN with the norm before it) of h
    "llama": lambda b, h: b.mlp(b.post_attention_layernorm(h)),
    "gpt2": lambda b, h: b.mlp(b.ln_2(h)),
    "opt": lambda b, h: b.fc2(b.activation_fn(b.fc1(b.final_layer_norm(h)))),
    "gemma2": lambda b, h: b.post_feedforward_layernorm(b.mlp(b.pre_feedforward_layernorm(h))),
    "olmo": lambda b, h: b.mlp(b.post_attention_layernorm(h)),
}


def adapted(family: str) -> LanguageNetwork:
    return LanguageNetwork(make(family), "adapter", PRECISIONS["fp32"], seed=0).eval()


@pytest.mark.parametrize("family", FFN)
@torch.no_grad()
def test_a_block_computes_the_formula(family):
    """out = h + FFN(LN h) + scale U relu(D h + d) + u, with h and out seen from outside."""
    network = adapted(family)
    adapters: Any = network.adapters
    plain = make(family)(TOKENS).logits[:, :-1]
    assert torch.equal(network(TOKENS), plain)  # U is zero at the start
    for parameter in adapters.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    assert (network(TOKENS) - plain).abs().max() > 1e-2
    assert len(adapters._blocks) == 2
    for (block, norm), adapter in zip(adapters._blocks, adapters.sets[0], strict=True):
        seen: dict[Any, Any] = {}
        norm.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.update(h=inputs[0]))
        block.register_forward_hook(lambda *a, seen=seen: seen.update(out=a[2]))
        network(TOKENS)
        h, out = seen["h"].view(2, 12, 16), seen["out"][0] if isinstance(seen["out"], tuple) else seen["out"]
        hidden = (h @ adapter.down.weight.T + adapter.down.bias).clamp(min=0)
        value = 0.1 * (hidden @ adapter.up.weight.T + adapter.up.bias)
        torch.testing.assert_close(out, h + FFN[family](block, h) + value, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("bert", "BertModel: no transformer block with a norm before its FFN .*of domains model.train full or lora"),
        ("olmo2", "Olmo2Model: no transformer block with a norm before its FFN"),
        ("opt-post-norm", "OPTDecoderLayer: its last norm comes after its FFN"),
        ("gpt1", "Block: its last norm comes after its FFN"),
    ],
)
def test_a_block_whose_norm_comes_after_the_ffn_is_refused(family, message):
    with pytest.raises(ModelError, match=message):
        adapted(family).prepare(TOKENS[:1])
