"""vit-mini: its loss against the formula, its batches, and its pretraining in small."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from zfscale.data.image_data import ImageData
from zfscale.data.images import DATASETS, load
from zfscale.models.load import EMBEDDED
from zfscale.models.vit import build, load_base
from zfscale.pretraining import card, vit_mini
from zfscale.pretraining.catalogue import table
from zfscale.pretraining.distort import thin
from zfscale.pretraining.vit_mini import TEMPERATURE, Batches, Source, build_vit_mini, contrast, source


def small() -> dict[str, Source]:
    """Two drawings of each of three characters, and little of everything else."""
    rng = np.random.default_rng(0)
    x = np.zeros((6, 40, 40), np.uint8)
    x[:2, 5:35, 18:23] = x[2:4, 18:23, 5:35] = x[4:, 5:35, 5:9] = 255
    y = np.repeat(np.arange(3), 2)
    clothes = rng.integers(0, 255, (8, 28, 28), dtype=np.uint8)
    coloured = rng.integers(0, 255, (5, 4, 40, 40), dtype=np.uint8)
    return {
        "simple": source(x, y, 0, thin(x > 110)),
        "complex": source(x[::2], y[::2], 3, thin(x[::2] > 110)),
        "clothes": source(clothes, np.arange(8) % 2, 6),
        "coloured": source(coloured, np.arange(5), 6 + 2 * vit_mini.ROTATIONS),
        "photographs": source(coloured, np.arange(5), 11 + 2 * vit_mini.ROTATIONS),
    }


def test_the_loss_is_that_of_the_formula():
    rng = np.random.default_rng(0)
    f, y = rng.normal(size=(7, 4)), np.array([0, 1, 0, 2, 1, 2, 0])
    z = f / np.linalg.norm(f, axis=1, keepdims=True)
    each = []
    for i in range(7):
        others = [a for a in range(7) if a != i]
        same = [p for p in others if y[p] == y[i]]
        total = sum(np.exp(z[i] @ z[a] / TEMPERATURE) for a in others)
        each.append(-np.mean([np.log(np.exp(z[i] @ z[p] / TEMPERATURE) / total) for p in same]))
    found = contrast(torch.tensor(f), torch.tensor(y))
    assert float(found) == pytest.approx(np.mean(each), rel=1e-9)


def test_a_batch_has_two_of_each_class():
    of = small()
    images, labels = Batches(of, 40, seed=0).next()
    assert images.shape == (len(labels), 3, 28, 28)
    assert (np.unique(labels, return_counts=True)[1] % 2 == 0).all()
    assert int(labels.max()) < Batches(of, 40, seed=0).classes
    again, same = Batches(of, 40, seed=0).next()
    assert torch.equal(images, again)
    assert torch.equal(labels, same)


def test_pairs_are_of_their_class():
    y = np.array([5, 3, 5, 3, 9])
    of = source(np.arange(5), y, first=10)
    rows, labels = of.pairs(50, torch.Generator().manual_seed(0))
    assert set(rows.tolist()) == set(range(5))
    assert torch.equal(labels - 10, torch.tensor(np.unique(y, return_inverse=True)[1])[rows])
    assert torch.equal(labels[:50], labels[50:])


def test_its_pretraining(tmp_path, monkeypatch):
    """The whole of it, small and twice: the same weights, and its card."""
    x = np.random.default_rng(0).integers(0, 255, (40, 1, 28, 28), dtype=np.uint8)
    monkeypatch.setattr(vit_mini, "sources", small)
    monkeypatch.setattr(card, "DATASETS", ["noise"])
    monkeypatch.setattr(card, "load", lambda *_: ImageData(x, np.arange(40) % 2, x, np.arange(40) % 2, ("a", "b")))
    for out in ("a", "b"):
        with torch.random.fork_rng():
            facts = build_vit_mini(steps=3, batch_size=40, out=tmp_path / out)
    assert json.loads((tmp_path / "b" / "pretraining.json").read_text()) == facts
    assert set(facts["nearest_mean"]["noise"]) == {"features", "pixels", "random", "difference", "error", "images"}
    assert "noise" in table(facts)
    weights = [(tmp_path / out / "model.safetensors").read_bytes() for out in ("a", "b")]
    assert weights[0] == weights[1]
    assert load_base(str(tmp_path / "a")).pixels == vit_mini.PIXELS


def test_the_rule_of_the_card_is_the_nearest_mean_by_cosine():
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 255, (60, 1, 4, 4), dtype=np.uint8), rng.integers(0, 3, 60)
    data = ImageData(x[:40], y[:40], x[40:], y[40:], ("a", "b", "c"))
    flat = x.reshape(60, -1).astype(float)
    means = np.stack([flat[:40][y[:40] == c].mean(0) for c in range(3)])
    scores = flat[40:] @ means.T / np.linalg.norm(means, axis=1)
    assert card.accuracy(card.raw(data, 4), data) == pytest.approx((scores.argmax(1) == y[40:]).mean())


def test_the_card_knows_how_sure_a_difference_is(monkeypatch):
    """The standard error of the mean of paired differences, by its formula."""
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 255, (90, 1, 28, 28), dtype=np.uint8), rng.integers(0, 3, 90)
    data = ImageData(x[:40], y[:40], x[40:], y[40:], ("a", "b", "c"))
    monkeypatch.setattr(card, "DATASETS", ["noise"])
    monkeypatch.setattr(card, "load", lambda *_: data)

    def rows(images):
        return images.flatten(1).float()[:, :28]

    one, other = card.hits(rows, data).astype(int), card.hits(card.raw(data, 28), data).astype(int)
    found = card.compare(rows, {"noise": 0.3})["noise"]
    wins, losses = int(((one - other) == 1).sum()), int(((one - other) == -1).sum())
    mean = (wins - losses) / 50
    assert min(wins, losses) > 0
    assert found["images"] == 50
    assert found["difference"] == pytest.approx(mean, abs=1e-4)
    assert found["error"] == pytest.approx(np.sqrt(((wins + losses) / 50 - mean**2) / 49), abs=1e-4)


def test_what_the_package_carries():
    """Small, and as its card says: better than pixels on characters that it has not seen."""
    folder = EMBEDDED / "vit-mini"
    assert sum(f.stat().st_size for f in folder.iterdir()) < 6_000_000
    facts = json.loads((folder / "pretraining.json").read_text())["nearest_mean"]
    assert set(facts) == set(DATASETS)
    for name in ("mnist5k", "scripts100"):
        data = load(name, 28)
        found = card.accuracy(build(load_base("embedded/vit-mini")), data)
        assert found == pytest.approx(facts[name]["features"], abs=0.003)
        assert found > card.accuracy(card.raw(data, 28), data) + 0.08
