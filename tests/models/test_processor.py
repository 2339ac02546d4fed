"""What an image processor's file says is taken as it is meant, or refused with the file's name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.troubles import assert_told
from zfscale.errors import ModelError
from zfscale.models.vit import build, load_base


@pytest.fixture
def model(saved: Any, tmp_path: Path) -> Path:
    """A ViT of 3 channels, without a processor."""
    return Path(shutil.copytree(saved("vit"), tmp_path / "vit"))


def write(model: Path, **stats: Any) -> Path:
    (model / "preprocessor_config.json").write_text(json.dumps(stats))
    return model


def test_a_size_of_two_equal_sides(model):
    config = json.loads((model / "config.json").read_text())
    side = config["image_size"]
    (model / "config.json").write_text(json.dumps(config | {"image_size": [side, side]}))
    base = load_base(str(model))
    assert base.pixels.size == side
    images = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    assert build(base)(images).shape == (2, config["hidden_size"])


@pytest.mark.parametrize(
    "stats",
    [
        {"image_std": 0},
        {"image_std": [0.5, 0, 0.5]},
        {"image_std": [-1]},
        {"image_std": float("nan")},
        {"image_mean": [0.5, 0.5]},
        {"image_mean": "0.5"},
        {"image_mean": [[0.5]]},
        {"image_mean": []},
        {"rescale_factor": 0},
        {"rescale_factor": "1/255"},
    ],
    ids=str,
)
def test_statistics_that_are_none(stats, model):
    with pytest.raises(ModelError) as caught:
        load_base(str(write(model, **stats)))
    assert_told(caught.value, str(model), "preprocessor_config.json", f"{next(iter(stats))}: ", "allowed: ")


@pytest.mark.parametrize("content", ["{", "", "[]"])
def test_a_broken_file_is_not_taken_for_none(content, model):
    (model / "preprocessor_config.json").write_text(content)
    with pytest.raises(ModelError) as caught:
        load_base(str(model))
    assert_told(caught.value, str(model), "preprocessor_config.json")


@pytest.mark.parametrize(
    ("stats", "black", "white"),
    [
        ({"image_mean": 0, "image_std": 1}, 0, 1),  # zero is a number, and not left out
        ({"rescale_factor": 1 / 127.5, "image_mean": 1, "image_std": 1}, -1, 1),
        ({"do_rescale": False, "image_mean": 127.5, "image_std": 127.5}, -1, 1),
        ({"do_rescale": False, "do_normalize": False}, 0, 255),
        ({"size": {"height": 16, "width": 16}, "rescale_factor": 0.00392156862745098}, -1, 1),
    ],
    ids=str,
)
def test_black_and_white_as_the_model_sees_them(stats, black, white, model):
    pixels = load_base(str(write(model, **stats))).pixels
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 16, 16)
    seen = pixels(images)
    assert seen[0].unique().tolist() == pytest.approx([black], abs=1e-5)
    assert seen[1].unique().tolist() == pytest.approx([white], rel=1e-5)
