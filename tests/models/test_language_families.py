"""Every family of language models behind the engine, perturbed, differentiated forward, and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from small_lms import FAMILIES, make

from zfscale.engine.deepspeed import Engine
from zfscale.engine.module_leaves import ModuleLeaves
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.errors import ZfscaleError
from zfscale.models.language import LanguageNetwork
from zfscale.models.lm import LanguageBase, load_lm, tokenizer_of
from zfscale.models.precision import PRECISIONS
from zfscale.pretraining.lm_nano import byte_tokenizer
from zfscale.zo.directions.dense import Gaussian
from zfscale.zo.estimate import forward_gradient
from zfscale.zo.problem import Problem

TOKENS = torch.randint(0, 256, (2, 12), generator=torch.Generator().manual_seed(1))
MASKED = ("bert", "roberta")
WITH_ADAPTERS = ("llama-tied", "gpt2", "opt")
CASES = [(f, t) for f in FAMILIES for t in ("full", "lora")] + [(f, "adapter") for f in WITH_ADAPTERS]
EPS = 0.01


def network(family: str, train: str, attention: str | None = None, **options: Any) -> LanguageNetwork:
    module = make(family)
    if attention:
        module.set_attn_implementation(attention)
    net = LanguageNetwork(module, train, PRECISIONS["fp32"], 0, family in MASKED, **options).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "lora_B" in name or "up." in name:  # zero at the start, where half of a loss's derivatives vanish
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.1)
    return net


def problem(net: LanguageNetwork, forward: Any = None) -> Any:
    leaves, overlay = net.prepare(TOKENS[:1])
    labels = TOKENS if net.masked else TOKENS[:, 1:]

    def loss() -> torch.Tensor:
        return F.cross_entropy((forward or net)(TOKENS).flatten(0, 1), labels.flatten())

    return Problem(ModuleOracle(loss, leaves, overlay), Gaussian(leaves))


@pytest.mark.parametrize(("family", "train"), CASES)
def test_a_perturbed_loss_is_that_of_moved_weights(family, train):
    """Also where a tensor is read in two places, as embedding and as output layer."""
    hooked, moved = problem(network(family, train)), problem(network(family, train))
    count = sum(p.requires_grad for p in network(family, train).parameters())
    assert len(hooked.leaves) == count  # a tied tensor is one of them
    moved.leaves.flat.add_(moved.directions.slice(7, 0, moved.leaves.total), alpha=EPS)
    assert hooked.loss_along(7, EPS) == moved.loss_here() != hooked.loss_here()


# transformers' BLOOM has a GELU of its own that defines no forward-mode derivative.
@pytest.mark.parametrize(("family", "train"), [case for case in CASES if case[0] != "bloom"])
def test_the_forward_gradient_is_the_derivative_along_z(family, train):
    net = network(family, train, "eager")
    forward = problem(net)
    (coefficient,) = forward_gradient(forward, [3]).coefficients
    with torch.enable_grad():
        gradient = torch.autograd.grad(forward.oracle.loss(), [leaf.parameter for leaf in forward.leaves])
    flat = torch.cat([g.flatten() for g in gradient])
    assert coefficient == pytest.approx(float(flat @ forward.directions.slice(3, 0, len(flat))), rel=1e-3, abs=1e-4)


def test_an_operator_without_a_forward_derivative_is_a_clear_error():
    with pytest.raises(ZfscaleError, match=r"forward-grad needs forward-mode derivatives: .*jvp"):
        forward_gradient(problem(network("bloom", "full", "eager")), [3])


@pytest.mark.parametrize("train", ["full", "lora", "adapter"])
def test_the_engine_computes_the_same_and_steps(train):
    net = network("llama-tied", train)
    engine = Engine(net, 2)
    through = problem(net, engine)
    assert through.loss_here() == problem(network("llama-tied", train)).loss_here()
    before = through.leaves.flat.clone()
    optimizer = torch.optim.SGD([leaf.parameter for leaf in through.leaves], 0.1)
    training = Engine(net, 2, optimizer)
    loss = F.cross_entropy(training(TOKENS).flatten(0, 1), TOKENS[:, 1:].flatten())
    training.backward(loss)
    training.step()
    assert not torch.equal(through.leaves.flat, before)
    assert through.loss_here() < loss.item()


def test_a_masked_model_predicts_every_position():
    assert network("bert", "full")(TOKENS).shape == (2, 12, 260)
    assert network("gpt2", "full")(TOKENS).shape == (2, 11, 260)


@pytest.mark.parametrize(
    ("family", "train"),
    [(f, t) for f in ("llama", "llama-tied", "gpt2") for t in ("full", "[nN]orm|ln_", "adapter")] + [("bert", "full")],
)
def test_transformers_reads_what_is_saved(family, train, tmp_path):
    base = read(family, tmp_path / "base")
    net = network(family, train, tokenizer=base.tokenizer)
    leaves, _ = net.prepare(TOKENS[:1])
    leaves.flat.add_(torch.randn(leaves.total, generator=torch.Generator().manual_seed(4)), alpha=0.1)
    net.save(tmp_path / "out")
    again = load_lm(str(tmp_path / "out"))
    assert tokenizer_of(again)("wave é")["input_ids"] == tokenizer_of(base)("wave é")["input_ids"]
    loaded = type(make(family)).from_pretrained(tmp_path / "out")
    if net.adapters:
        state = load_file(tmp_path / "out" / "zfscale.safetensors")
        assert state.keys() == {leaf.name for leaf in leaves}
        assert all(torch.equal(state[leaf.name], leaf.parameter) for leaf in leaves)
        net.adapters.active = None
    with torch.no_grad():
        logits = loaded(TOKENS).logits
        assert torch.equal(logits if net.masked else logits[:, :-1], net(TOKENS))
        assert torch.equal(logits, make(family)(TOKENS).logits) == bool(net.adapters)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("train", ["full", "mlp"])
def test_nothing_is_rounded_on_the_way(precision, train, tmp_path):
    net = LanguageNetwork(make("llama-tied"), train, PRECISIONS[precision], 0)
    leaves, _ = net.prepare(TOKENS[:1])
    leaves.flat.mul_(1.001)
    net.save(tmp_path)
    loaded = dict(type(net.module).from_pretrained(tmp_path).named_parameters())
    kept = dict(net.module.named_parameters())
    assert loaded.keys() == kept.keys()
    assert all(torch.equal(loaded[name].double(), kept[name].double()) for name in kept)
    assert {p.dtype for p in loaded.values()} == {PRECISIONS[precision].trained}


def read(family: str, path: Path) -> LanguageBase:
    make(family).save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return load_lm(str(path))


def test_leaves_of_a_tied_model_hold_the_tied_tensor_once():
    leaves: ModuleLeaves = network("gpt2", "full").prepare(TOKENS[:1])[0]
    assert [leaf.name for leaf in leaves if leaf.parameter.shape == (260, 16)] == ["module.transformer.wte.weight"]


@pytest.mark.parametrize("pattern", ["lm_head", "embed_tokens"])
def test_a_tied_tensor_goes_by_each_of_its_names(pattern):
    leaves, _ = network("llama-tied", pattern).prepare(TOKENS[:1])
    assert [leaf.name for leaf in leaves] == ["module.model.embed_tokens.weight"]
