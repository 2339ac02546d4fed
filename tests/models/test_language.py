"""What of a language model is trained, and that a forward-only step moves just that."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from zfscale.engine.module_oracle import ModuleOracle
from zfscale.errors import ModelError
from zfscale.models.language import LanguageNetwork
from zfscale.models.lm import LanguageBase, build_lm, load_lm
from zfscale.models.precision import PRECISIONS
from zfscale.spec import OptimizerSpec
from zfscale.zo.directions.dense import Rademacher
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper, make_algorithm

TOKENS = torch.arange(48).view(2, 24) * 5 % 256


@pytest.fixture(scope="module")
def base() -> LanguageBase:
    return load_lm("embedded/lm-nano")


def make(base: LanguageBase, train: str, precision: str = "fp32") -> LanguageNetwork:
    return LanguageNetwork(build_lm(base), train, PRECISIONS[precision], seed=0).eval()


def test_logits_are_those_of_the_next_tokens_in_float32(base):
    logits = make(base, "full", "bf16")(TOKENS)
    assert logits.shape == (2, 23, base.config.vocab_size)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("precision", list(PRECISIONS))
@pytest.mark.parametrize("train", ["full", "adapter", "lora", r"mlp\.(up|down)_proj"])
def test_a_step_moves_what_is_trained_and_nothing_else(base, train, precision):
    network = make(base, train, precision)
    leaves, overlay = network.prepare(TOKENS[:1])
    trained = {leaf.name for leaf in leaves}
    before = {name: p.detach().clone() for name, p in network.named_parameters()}

    def loss() -> torch.Tensor:
        return F.cross_entropy(network(TOKENS).flatten(0, 1), TOKENS[:, 1:].flatten())

    problem = Problem(ModuleOracle(loss, leaves, overlay), Rademacher(leaves))
    stepper = Stepper(make_algorithm(OptimizerSpec(name="zo-sgd", lr=1e-2)), problem)
    assert stepper.step([1], 1e-2, 0).accepted == 1
    moved = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert moved == trained
    wanted = {"full": "", "adapter": "adapters."}.get(train, "module.model.layers.")
    assert all(name.startswith(wanted) for name in trained)
    assert (trained == set(before)) == (train == "full")
    assert any("self_attn" in name for name in trained) == (train in ("full", "lora"))


def test_a_pattern_that_matches_nothing_is_a_clear_error(base):
    with pytest.raises(ModelError, match=r"model\.train: no parameter's name matches 'nosuch'.*embed_tokens"):
        make(base, "nosuch")
    with pytest.raises(ModelError, match="allowed: full, adapter, lora, or a pattern of names such as"):
        make(base, "ful_")


def test_a_broken_pattern_is_a_clear_error(base):
    with pytest.raises(ModelError, match=r"^model\.train: 'mlp\.\(up' is no regular expression: missing \)"):
        make(base, "mlp.(up")


def test_a_parameter_that_is_read_past_its_module_is_refused(base):
    network = make(base, "full")
    inner = network.module.model.layers[0].mlp

    def forward(x: torch.Tensor) -> torch.Tensor:
        hidden = F.silu(F.linear(x, inner.gate_proj.weight)) * inner.up_proj(x)
        return inner.down_proj(hidden)

    inner.forward = forward
    with pytest.raises(ModelError, match=r"gate_proj\.weight is read outside its module's forward"):
        network.prepare(TOKENS[:1])
