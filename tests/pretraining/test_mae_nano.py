"""embedded/mae-nano: what the package carries, and its pretraining."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from zfscale.data.image_data import ImageData
from zfscale.data.images import DATASETS, load
from zfscale.data.masked_images import Patches, image_domain
from zfscale.models.load import EMBEDDED
from zfscale.models.masked_image import MaskedImageNetwork
from zfscale.models.mim import build_mim, load_mim
from zfscale.models.precision import PRECISIONS
from zfscale.pretraining import mae_nano as mae_base
from zfscale.pretraining.mae_nano import build_mae_nano


def test_mae_nano():
    """Small, as the builder made it, and a reader of Fashion-MNIST."""
    assert sum(f.stat().st_size for f in (EMBEDDED / "mae-nano").iterdir()) < 2_000_000
    base = load_mim("embedded/mae-nano")
    patches = Patches(base.pixels.size, base.pixels.channels, base.config.patch_size, base.hidden)
    assert (base.pixels, patches) == (mae_base.PIXELS, mae_base.PATCHES)
    facts = json.loads((EMBEDDED / "mae-nano" / "pretraining.json").read_text())
    losses = {name: facts[f"{name}_loss"] for name in DATASETS if f"{name}_loss" in facts}
    assert len(losses) > 5
    assert all(loss < facts[f"{name}_loss_random_init"] for name, loss in losses.items())
    assert losses["fashion_mnist"] < min(loss for name, loss in losses.items() if "fashion" not in name)
    net = MaskedImageNetwork(build_mim(base), base.pixels, "full", PRECISIONS["fp32"], 0).eval()
    task = image_domain("fashion1k", load("fashion1k", 28), patches, None, mae_base.HELD_OUT)
    with torch.no_grad():
        found = net.example_losses(net(torch.tensor(task.held_out_x)), torch.tensor(task.held_out_y))
    assert found.mean().item() == pytest.approx(losses["fashion1k"], abs=1e-3)


def test_its_pretraining(tmp_path, monkeypatch):
    """The whole of it, small and twice: the same weights, and a loss that falls."""
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 2, (256, 1, 7, 1)) * 220 + rng.integers(0, 30, (256, 1, 7, 7))).astype(np.uint8)
    x, y = x.repeat(4, 2).repeat(4, 3), np.arange(256) % 2
    monkeypatch.setattr(mae_base, "load", lambda name, size: ImageData(x, y, x[:50], y[:50], ("a", "b")))
    monkeypatch.setattr(mae_base, "DATASETS", ["stripes"])
    for out in ("a", "b"):
        facts = build_mae_nano(epochs=5, batch_size=16, out=tmp_path / out)
    assert facts["stripes_loss"] < facts["stripes_loss_random_init"]
    assert json.loads((tmp_path / "b" / "pretraining.json").read_text()) == facts
    weights = [(tmp_path / out / "model.safetensors").read_bytes() for out in ("a", "b")]
    assert weights[0] == weights[1]
    assert load_mim(str(tmp_path / "a")).pixels == mae_base.PIXELS
