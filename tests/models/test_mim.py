"""Masked image models of every family: their loss against transformers' own, and what of them is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad

from tests.models.small_mims import FAMILIES, SHAPE, make, saved
from zfscale.data.masked_images import HELD_OUT, Patches, cut, hide
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.errors import ModelError
from zfscale.models.masked_image import MaskedImageNetwork, patches
from zfscale.models.mim import build_mim, load_mim
from zfscale.models.precision import PRECISIONS
from zfscale.spec import OptimizerSpec
from zfscale.zo.directions.dense import Rademacher
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper, make_algorithm

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 12, 12), dtype=np.uint8)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("mims")
    return {family: load_mim(saved(family, root / family)) for family in FAMILIES}


def network(base: Any, train: str = "full", precision: str = "fp32", attention: str = "sdpa") -> MaskedImageNetwork:
    return MaskedImageNetwork(build_mim(base, attention), base.pixels, train, PRECISIONS[precision], seed=0).eval()


def examples(base: Any) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = hide(IMAGES, Patches(12, 3, 4, base.hidden), HELD_OUT)
    return torch.tensor(x), torch.tensor(y)


def shown(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels as transformers takes them, and which patches are hidden [B, L]."""
    return (x[:, :3] / 255 - 0.5) / 0.5, x[:, 3, ::4, ::4].flatten(1).bool()


@pytest.mark.parametrize("family", ["vit_mae", "vit_mae-normalised"])
def test_the_loss_of_a_vitmae_is_transformers_own(family, bases):
    x, y = examples(bases[family])
    pixels, hidden = shown(x)
    model = make(family)
    with torch.no_grad():
        for row in range(len(x)):
            theirs = model(pixels[row : row + 1], noise=hidden[row : row + 1].float() + torch.arange(9) / 100)
            assert torch.equal(theirs.mask[0].bool(), hidden[row])
            net = network(bases[family])
            ours = net.example_losses(net(x[row : row + 1]), y[row : row + 1])
            assert ours.item() == pytest.approx(theirs.loss.item(), rel=1e-5)


@pytest.mark.parametrize("family", ["vit", "deit"])
def test_the_predictions_of_a_head_are_transformers_own(family, bases):
    """Against the loss that they come with, a mean absolute error."""
    x, y = examples(bases[family])
    pixels, hidden = shown(x)
    net = network(bases[family])
    with torch.no_grad():
        theirs = make(family)(pixels, bool_masked_pos=hidden)
        predicted, targets = net(x), net.targets(y)
        squared = net.example_losses(predicted, y)
    assert F.l1_loss(predicted, targets).item() == pytest.approx(theirs.loss.item(), rel=1e-5)
    error = (theirs.reconstruction - pixels).square() * x[:, 3:]  # the mask channel
    assert torch.allclose(squared, error.sum((1, 2, 3)) / (3 * x[:, 3].sum((1, 2))), rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_hidden_is_not_seen(family, bases):
    x, _ = examples(bases[family])
    other = torch.where(x[:, 3:] == 1, 255 - x, x)
    other[:, 3] = x[:, 3]
    assert not torch.equal(other, x)
    net = network(bases[family])
    with torch.no_grad():
        assert torch.equal(net(other), net(x))
        assert not torch.equal(net(other, features=True), net(x, features=True))
        x[:, 3] = 0
        unmasked = net(x, features=True)
        assert net(x, features=True).shape == (5, 16)
        x[:, 3] = 1
        assert torch.equal(net(x, features=True), unmasked)  # features are of the whole image


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_the_mean_of_the_encoders_patch_tokens(family, bases):
    pixels, _ = shown(examples(bases[family])[0])
    model = make(family).base_model
    with torch.no_grad():
        if family.startswith("vit_mae"):
            embedded = model.embeddings.patch_embeddings(pixels) + model.embeddings.position_embeddings[:, 1:]
            first = (model.embeddings.cls_token + model.embeddings.position_embeddings[:, :1]).expand(5, -1, -1)
            hidden = torch.cat([first, embedded], 1)
            for layer in model.layers:
                hidden = layer(hidden, None)
            tokens = model.layernorm(hidden)
        else:
            tokens = model(pixels).last_hidden_state
        ours = network(bases[family])(examples(bases[family])[0], features=True)
    assert torch.allclose(ours, tokens[:, -9:].mean(1), atol=1e-5)


@pytest.mark.parametrize("precision", list(PRECISIONS))
@pytest.mark.parametrize("train", ["full", "adapter", "lora", r"mlp\.fc1|intermediate"])
@pytest.mark.parametrize("family", ["vit_mae", "vit", "deit"])
def test_a_step_moves_what_is_trained_and_nothing_else(family, train, precision, bases):
    net = network(bases[family], train, precision)
    x, y = examples(bases[family])
    leaves, overlay = net.prepare(x[:1])
    trained = {leaf.name for leaf in leaves}
    before = {name: p.detach().clone() for name, p in net.named_parameters()}

    def loss() -> torch.Tensor:
        return net.example_losses(net(x), y).mean()

    assert net(x).dtype == torch.float32
    stepper = Stepper(
        make_algorithm(OptimizerSpec(name="zo-sgd", lr=1e-2)),
        Problem(ModuleOracle(loss, leaves, overlay), Rademacher(leaves)),
    )
    assert stepper.step([1], 1e-1, 0).accepted == 1
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert moved == trained
    frozen = set(before) - trained
    if train == "full":  # sines and cosines stay what they are
        fixed = {"module.vit.embeddings.position_embeddings", "module.decoder.decoder_pos_embed"}
        assert frozen == (fixed if family == "vit_mae" else set())
    else:
        part = {"adapter": "adapters.", "lora": ".lora_"}.get(train, "module.")
        assert all(part in name for name in trained)
        assert frozen


@pytest.mark.parametrize("family", ["vit_mae", "vit"])
def test_it_has_a_forward_mode_derivative(family, bases):
    net = network(bases[family], attention="eager")
    x, y = examples(bases[family])
    weight = net.module.base_model.layers[0].layernorm_before.weight
    parameters = {f"module.{name}": p for name, p in net.module.named_parameters()}
    (name,) = [n for n, p in parameters.items() if p is weight]
    direction = torch.ones_like(weight)

    def loss(at: torch.Tensor) -> torch.Tensor:
        return net.example_losses(torch.func.functional_call(net, {name: at}, (x,)), y).mean()

    with forward_ad.dual_level():
        slope = forward_ad.unpack_dual(loss(forward_ad.make_dual(weight.detach(), direction))).tangent
    with torch.no_grad():
        numeric = (loss(weight + 1e-2 * direction) - loss(weight - 1e-2 * direction)) / 2e-2
    assert slope.item() == pytest.approx(numeric.item(), rel=2e-2)


@pytest.mark.parametrize("train", ["full", "adapter", "lora"])
def test_what_is_saved_loads_again(train, bases, tmp_path):
    x, y = examples(bases["vit_mae"])
    net = network(bases["vit_mae"], train)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.01)
    net.save(tmp_path)
    again = load_mim(str(tmp_path))
    assert again.pixels == bases["vit_mae"].pixels
    assert set(again.weights) == set(bases["vit_mae"].weights)
    if train == "full":
        assert torch.equal(network(again)(x), net(x))
    assert (tmp_path / "lora").is_dir() == (train == "lora")
    assert (tmp_path / "zfscale.safetensors").exists() == (train == "adapter")
    assert net.example_losses(net(x), y).isfinite().all()


def test_patches_in_torch_are_those_in_numpy():
    assert torch.equal(patches(torch.tensor(IMAGES), 4), torch.tensor(cut(IMAGES, 4)))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("encoder", "lacks .* weights, decoder.0.bias for one"),
        ("text", r"\(llama\): masked image models are vit_mae, vit, deit"),
        ("swin", r"\(swin\): masked image models are"),
        ("stride", "its encoder_stride, 6, is not its patch_size"),
        ("remainder", "patches of 5 do not fill 12 pixels"),
        ("nothing", "the directory is empty"),
    ],
)
def test_other_models_are_clear_errors(kind, message, tmp_path: Path):
    import transformers as hf

    shape: dict[str, Any] = {**SHAPE, "num_channels": 1}
    configs: dict[str, Any] = {
        "text": lambda: hf.LlamaConfig(num_hidden_layers=1),
        "swin": lambda: hf.SwinConfig(image_size=32),
        "stride": lambda: hf.ViTConfig(**shape, encoder_stride=6),
        "remainder": lambda: hf.ViTMAEConfig(**{**shape, "patch_size": 5}),
    }
    if kind == "encoder":
        hf.ViTModel(hf.ViTConfig(**shape, encoder_stride=4)).save_pretrained(tmp_path)
    elif kind in configs:
        configs[kind]().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=message) as caught:
        load_mim(str(tmp_path))
    assert "\n" not in str(caught.value)
