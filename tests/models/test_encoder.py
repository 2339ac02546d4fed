"""Encoders of every family from disk: the family's own features, no random state touched, clear refusals."""

from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.conftest import SHAPE, make
from zfscale.engine.module_leaves import ModuleLeaf, trainable
from zfscale.engine.overlay import Overlay
from zfscale.errors import ModelError
from zfscale.models.load import EMBEDDED
from zfscale.models.vit import build, load_base

FEATURE = {  # the image feature of a family, from its model's own output
    "vit": lambda out: out.last_hidden_state[:, 0],
    "deit": lambda out: out.last_hidden_state[:, 0],
    "dinov2": lambda out: out.last_hidden_state[:, 0],
    "beit": lambda out: out.last_hidden_state[:, 0],
    "clip": lambda out: out.pooler_output,
    "siglip": lambda out: out.pooler_output,
    "siglip-headless": lambda out: out.last_hidden_state.mean(1),
}


@pytest.mark.parametrize("family", FEATURE)
def test_features_are_those_of_the_family(family, saved, images):
    encoder = build(load_base(str(saved(family))))
    with torch.no_grad():
        got = encoder(images)
        expected = FEATURE[family](make(family)(images / 127.5 - 1))
    assert got.shape == (3, encoder.width) == (3, 16)
    assert torch.isfinite(got).all()
    assert (got[0] - got[1]).abs().max() > 1e-3  # they tell images apart
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FEATURE)
def test_building_neither_reads_nor_moves_the_random_state(family, saved, images):
    base = load_base(str(saved(family)))
    features = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before, numpys = torch.random.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].copy()
        encoder = build(base)
        with torch.no_grad():
            features += [encoder(images), encoder(images)]
        assert torch.equal(torch.random.get_rng_state(), before)
        assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], numpys)
    assert all(torch.equal(f, features[0]) for f in features)


@pytest.mark.parametrize("family", FEATURE)
def test_every_trainable_weight_reaches_the_feature_and_can_be_perturbed(family, saved, images):
    """Else a zeroth-order step would send it on a random walk."""
    encoder = build(load_base(str(saved(family))))
    leaves = trainable(encoder)
    overlay = Overlay(encoder, leaves)
    with torch.no_grad():
        plain = encoder(images)
        for leaf in leaves:
            shift = torch.randn(leaf.parameter.shape, generator=torch.Generator().manual_seed(leaf.start))

            def value(of: ModuleLeaf, leaf: ModuleLeaf = leaf, shift: torch.Tensor = shift) -> torch.Tensor:
                return of.parameter + shift if of is leaf else of.parameter

            with overlay.at(value):
                got = encoder(images)
            old = leaf.parameter.detach().clone()
            leaf.parameter.add_(shift)
            expected = encoder(images)
            leaf.parameter.copy_(old)
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5, msg=leaf.name)
            if not leaf.name.endswith(("k_proj.bias", "in_proj_bias")):  # softmax cancels a key's bias
                assert (got - plain).abs().max() > 1e-4, leaf.name


def test_builds_share_nothing(saved, images):
    base = load_base(str(saved("vit")))
    first, second = build(base), build(base)
    with torch.no_grad():
        expected = second(images)
        for p in first.parameters():
            p.zero_()
        assert torch.equal(second(images), expected)
        assert torch.equal(build(base)(images), expected)


def test_a_classifier_or_a_two_tower_checkpoint_gives_its_image_encoder(saved, images):
    for family, kind in (("vit-classifier", "ViTModel"), ("clip-with-text", "CLIPVisionModel")):
        encoder = build(load_base(str(saved(family))))
        assert type(encoder.backbone).__name__ == kind
        with torch.no_grad():
            out = getattr(make(family), {"ViTModel": "vit", "CLIPVisionModel": "vision_model"}[kind])(
                images / 127.5 - 1
            )
            expected = out.last_hidden_state[:, 0] if kind == "ViTModel" else out.pooler_output
            torch.testing.assert_close(encoder(images), expected, rtol=1e-5, atol=1e-5)


def test_a_half_precision_checkpoint_becomes_float32(tmp_path, images):
    make("vit").bfloat16().save_pretrained(tmp_path)
    encoder = build(load_base(str(tmp_path)))
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert encoder(images).dtype == torch.float32


def test_the_embedded_model():
    encoder = build(load_base("embedded/vit-nano"))
    assert encoder.pixels.channels == 1
    assert encoder(torch.zeros(2, 3, 20, 20, dtype=torch.uint8)).shape == (2, encoder.width)
    assert sum(f.stat().st_size for f in (EMBEDDED / "vit-nano").iterdir()) < 2**20


@pytest.mark.parametrize(
    ("processor", "mean", "std"),
    [
        (None, (0.5,) * 3, (0.5,) * 3),
        ({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
        ({"image_mean": 0.25, "image_std": [0.75]}, (0.25,) * 3, (0.75,) * 3),
        ({"do_normalize": False, "image_mean": [0.1] * 3, "image_std": [0.4] * 3}, (0.0,) * 3, (1.0,) * 3),
    ],
)
def test_statistics_come_from_the_image_processor(saved, tmp_path, processor, mean, std):
    shutil.copytree(saved("vit"), tmp_path / "m")
    if processor is not None:
        (tmp_path / "m" / "preprocessor_config.json").write_text(json.dumps(processor))
    pixels = load_base(str(tmp_path / "m")).pixels
    assert (pixels.size, pixels.channels) == (16, 3)
    assert pixels.mean == pytest.approx(mean)
    assert pixels.std == pytest.approx(std)
    unit = load_base(str(tmp_path / "m"), input_range="unit").pixels
    assert (unit.mean, unit.std) == ((0.0,) * 3, (1.0,) * 3)


def pickle_only(path):
    torch.save(make("vit").state_dict(), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()


def truncate(path):
    whole = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def lose_a_weight(path):
    weights = load_file(path / "model.safetensors")
    name = next(n for n in weights if "fc1.weight" in n or "intermediate" in n)
    del weights[name]
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


def widen(path):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))


BROKEN = {
    "pickle": (pickle_only, "safetensors"),
    "truncated": (truncate, "model.safetensors is cut or no safetensors file"),
    "incomplete": (lose_a_weight, "lacks 1 weights, layers.0.mlp.fc1"),
    "another shape": (widen, "36 weights do not fit config.json: embeddings.cls_token of shape 1 x 1 x 16"),
    "no json": (lambda path: (path / "config.json").write_text("{"), "JSON"),
    "no model type": (lambda path: (path / "config.json").write_text("{}"), "model_type"),
    "empty": (lambda path: [f.unlink() for f in path.iterdir()], "the directory is empty"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_directory_is_a_model_error(how, saved, tmp_path):
    path = tmp_path / "broken"
    shutil.copytree(saved("vit"), path)
    spoil, says = BROKEN[how]
    spoil(path)
    with pytest.raises(ModelError, match=says) as caught:
        load_base(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_model_is_a_model_error(tmp_path):
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_base(str(tmp_path / "nope"))
    with pytest.raises(ModelError, match="did you mean 'embedded/vit-nano'"):
        load_base("embedded/vit-nona")


def test_a_model_that_is_no_image_encoder_is_a_model_error(tmp_path):
    import transformers as hf

    text: dict[str, Any] = {
        k: v for k, v in SHAPE.items() if not k.endswith("_size") or k.startswith(("hidden", "inter"))
    }
    hf.BertModel(hf.BertConfig(vocab_size=9, **text)).save_pretrained(tmp_path / "bert")
    with pytest.raises(ModelError, match=r"\(bert\) is not an image encoder"):
        load_base(str(tmp_path / "bert"))
    rectangular = hf.ViTConfig(**SHAPE | {"image_size": [16, 24]})
    hf.ViTModel(rectangular).save_pretrained(tmp_path / "rectangular")
    with pytest.raises(ModelError, match="one square input size"):
        load_base(str(tmp_path / "rectangular"))
