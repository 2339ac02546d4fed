"""LoRA by peft in every family: what it computes, where it goes, what it is drawn from, and what it leaves on disk."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_lms import FAMILIES, make

from zfscale.errors import ModelError
from zfscale.models import lora
from zfscale.models.language import LanguageNetwork
from zfscale.models.precision import PRECISIONS

TOKENS = torch.randint(0, 256, (2, 12), generator=torch.Generator().manual_seed(1))
MASKED = ("bert", "roberta")
LAYERS = {  # those that peft takes by default; of a family that it does not know, all linear ones but the head
    "llama": {"q_proj", "v_proj"},
    "gpt2": {"c_attn"},
    "opt": {"q_proj", "v_proj"},
    "bert": {"query", "value"},
    "olmo": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
}


def network(family: str, precision: str = "fp32", seed: int = 0, **options: Any) -> LanguageNetwork:
    masked = family in MASKED
    return LanguageNetwork(make(family), "lora", PRECISIONS[precision], seed, masked, **options).eval()


def randomise(net: LanguageNetwork) -> None:
    generator = torch.Generator().manual_seed(5)
    for name, parameter in net.named_parameters():
        if ".lora_B." in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)


def logits(model: Any, family: str) -> torch.Tensor:
    with torch.no_grad():
        whole = model(TOKENS).logits
    return whole if family in MASKED else whole[:, :-1]


@pytest.mark.parametrize("family", [*FAMILIES, "olmo"])
@torch.no_grad()
def test_it_computes_the_formula(family):
    """W x + alpha / rank B A x: the same as a plain model whose W is W + alpha / rank B A."""
    net, plain = network(family, lora_rank=4, lora_alpha=10.0), make(family)
    assert torch.equal(net(TOKENS), logits(plain, family))  # B is zero at the start
    randomise(net)
    weights, trained = dict(net.named_parameters()), set()
    for name, parameter in weights.items():
        if name.endswith(".lora_B.default.weight"):
            layer = name.removesuffix(".lora_B.default.weight")
            update = 2.5 * parameter @ weights[f"{layer}.lora_A.default.weight"]
            target = plain.get_parameter(f"{layer.removeprefix('module.')}.weight")
            target += update.T if family == "gpt2" else update  # GPT-2 stores its matrices as input x output
            trained.add(layer.rpartition(".")[2])
    assert trained == LAYERS.get(family, trained) != set()
    assert not torch.equal(net(TOKENS), logits(make(family), family))
    torch.testing.assert_close(net(TOKENS), logits(plain, family), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", LAYERS)
def test_only_a_and_b_are_trained(family):
    net = network(family)
    leaves, _ = net.prepare(TOKENS[:1])
    assert {leaf.name.split(".")[-3] for leaf in leaves} == {"lora_A", "lora_B"}
    assert {name.split(".")[-4] for name in (leaf.name for leaf in leaves)} == LAYERS[family]
    assert not any(p.requires_grad for name, p in net.named_parameters() if ".lora_" not in name)


def test_the_initialisation_is_a_function_of_the_seed():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, other = network("llama", seed=3).state_dict(), network("llama", seed=4).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    again = network("llama", seed=3).state_dict()
    drawn = [key for key in one if ".lora_A." in key]
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in drawn)
    assert not any(one[key].any() for key in one if ".lora_B." in key)
    bound = 1 / math.sqrt(16)
    sample = torch.cat([one[key].flatten() for key in drawn])
    assert 0.98 * bound < sample.abs().max() <= bound
    assert float(sample.var()) == pytest.approx(bound**2 / 3, rel=0.1)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_number_formats(precision):
    net, rule = network("llama", precision), PRECISIONS[precision]
    assert {p.dtype for name, p in net.named_parameters() if ".lora_" in name} == {rule.trained}
    assert {p.dtype for name, p in net.named_parameters() if ".lora_" not in name} == {rule.frozen}
    net.prepare(TOKENS[:1])
    assert net(TOKENS).dtype == torch.float32


@pytest.mark.parametrize("family", ["llama-tied", "gpt2", "bert", "olmo"])
def test_peft_reads_what_is_saved(family, tmp_path):
    from peft import PeftModel

    net = network(family, lora_rank=4)
    net.prepare(TOKENS[:1])
    randomise(net)
    net.save(tmp_path)
    base = type(make(family)).from_pretrained(tmp_path)
    assert torch.equal(logits(base, family), logits(make(family), family))
    loaded = PeftModel.from_pretrained(base, tmp_path / "lora")
    with torch.no_grad():
        assert torch.equal(logits(loaded, family), net(TOKENS))
    config: Any = loaded.peft_config["default"]
    assert (config.r, config.lora_alpha) == (4, 16)


def test_a_model_without_a_layer_to_adapt_is_a_clear_error():
    model = make("olmo")
    model.model.layers = torch.nn.ModuleList()
    with pytest.raises(ModelError, match=r"^model\.train: lora finds no layer of OlmoForCausalLM to adapt: "):
        lora.inject(model, rank=4, alpha=8.0, seed=0)
