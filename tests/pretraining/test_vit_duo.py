"""vit-duo: what its teachers say of an image, and its pretraining in small."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.pretraining import test_vit_mini
from zfscale.data.image_data import ImageData
from zfscale.data.images import DATASETS, load
from zfscale.models.load import EMBEDDED
from zfscale.models.vit import Encoder, build, load_base
from zfscale.pretraining import card, looks, vit_duo, vit_mini
from zfscale.pretraining.vit_duo import LOOKS, MIX, OF_TEACHER, Mixed, bank, build_vit_duo, main
from zfscale.pretraining.vit_mini import Source, source


def small() -> dict[str, Source]:
    """What vit-mini is taught in small, and five pictures more."""
    of = test_vit_mini.small()
    more = of["photographs"]
    return of | {"clip_art": source(more.x.numpy(), np.arange(5), more.first + more.classes)}


def images(n: int) -> torch.Tensor:
    """Random pictures of little detail, uint8 [n, 3, 28, 28]."""
    coarse = torch.rand(n, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    return (F.interpolate(coarse, (28, 28), mode="bilinear") * 255).to(torch.uint8)


@pytest.fixture(scope="module")
def teacher() -> Encoder:
    return build(load_base(vit_duo.TEACHER))


def test_main_components_keep_the_cosine_of_what_is_simple():
    """Of grey pictures with four numbers each, up to their rounding to bytes."""
    x = images(640)[:, :1].expand(-1, 3, -1, -1)
    found, whole = main(looks.pixels, x, LOOKS[looks.pixels].components), looks.pixels(x)
    assert found.shape == (640, LOOKS[looks.pixels].components)
    assert torch.allclose(found @ found.T, whole @ whole.T, atol=2e-3)


def test_a_target_has_the_cosines_of_all_teachers(teacher):
    """The inner product of two targets is about the weighted mean."""
    torch.manual_seed(0)
    mixed = Mixed(small(), 300, seed=0)
    taught = bank(teacher, mixed, 2)
    x, labels = Mixed(small(), 300, seed=0).next()
    assert torch.equal(taught.images[: len(x)], x)
    pictures = torch.nonzero(labels >= mixed.first_picture)[:, 0]
    with torch.no_grad():
        said = [F.normalize(teacher(x[pictures]))]
    said += [main(look, taught.images, share.components)[pictures] for look, share in LOOKS.items()]
    weights = [share.weight for share in (OF_TEACHER, *LOOKS.values())]
    expected = sum(weight * part @ part.T for weight, part in zip(weights, said, strict=True)) / sum(weights)
    found = taught.targets[pictures] @ taught.targets[pictures].T
    assert (found - expected).abs().max() < 0.03


def test_vit_mini_has_its_own_part_already(teacher):
    """A target points where vit-mini's feature does, by the root of its share of the weights, about."""
    taught = bank(teacher, Mixed(small(), 300, seed=0), 2)
    _, labels = Mixed(small(), 300, seed=0).next()
    x = taught.images[: len(labels)][labels >= small()["coloured"].first]
    with torch.no_grad():
        feature = F.normalize(teacher(x))
    target = taught.targets[: len(labels)][labels >= small()["coloured"].first]
    shares = (OF_TEACHER, *LOOKS.values())
    root = math.sqrt(OF_TEACHER.weight / sum(share.weight for share in shares))
    assert float((feature * target).sum(1).mean()) == pytest.approx(root, abs=0.03)


def test_its_teachers_fill_its_features():
    assert sum(share.components for share in (OF_TEACHER, *LOOKS.values())) == vit_mini.MINI["hidden_size"]


def test_moved_drawings_differ_a_little():
    x = images(64)
    moved = vit_duo._moved(x, torch.Generator().manual_seed(0))
    away = (moved.float() - x.float()).abs().mean()
    assert 1 < away < (x.roll(1, 0).float() - x.float()).abs().mean()


def test_its_batches_are_of_its_mix():
    mixed = Mixed(small(), 400, seed=0)
    x, labels = mixed.next()
    assert len(x) == len(labels) == sum(2 * round(200 * share) for name, share in MIX.items())
    clip_art = small()["clip_art"]
    assert int((labels >= clip_art.first).sum()) == 2 * round(200 * MIX["clip_art"])
    assert pytest.approx(sum(MIX.values())) == 1


def test_its_pretraining(tmp_path, monkeypatch):
    """The whole of it, small and twice: the same weights, and its card."""
    x = np.random.default_rng(0).integers(0, 255, (40, 1, 28, 28), dtype=np.uint8)
    monkeypatch.setattr(vit_duo, "sources", small)
    monkeypatch.setattr(vit_duo, "BANK", (2, 40))
    monkeypatch.setattr(card, "DATASETS", ["noise"])
    monkeypatch.setattr(card, "load", lambda *_: ImageData(x, np.arange(40) % 2, x, np.arange(40) % 2, ("a", "b")))
    for out in ("a", "b"):
        with torch.random.fork_rng():
            facts = build_vit_duo(steps=3, batch_size=40, out=tmp_path / out)
    assert json.loads((tmp_path / "b" / "pretraining.json").read_text()) == facts
    assert facts["teachers"] == "embedded/vit-mini, pixels, colours, edges"
    weights = [(tmp_path / out / "model.safetensors").read_bytes() for out in ("a", "b")]
    assert weights[0] == weights[1]
    assert load_base(str(tmp_path / "a")).pixels == vit_duo.PIXELS


def test_what_the_package_carries():
    """As small and as fast as vit-mini, and as its card says: on no stream below pixels."""
    folder = EMBEDDED / "vit-duo"
    assert sum(f.stat().st_size for f in folder.iterdir()) < 6_000_000
    same = [load_base(f"embedded/{name}").config.to_dict() for name in ("vit-duo", "vit-mini")]
    assert {k: v for k, v in same[0].items() if k != "_name_or_path"} == {
        k: v for k, v in same[1].items() if k != "_name_or_path"
    }
    facts = json.loads((folder / "pretraining.json").read_text())["nearest_mean"]
    assert set(facts) == set(DATASETS)
    assert all(found["difference"] > 0 for found in facts.values())
    for name in ("digits", "glyphs", "photos", "mnist5k", "scripts100"):
        found = card.accuracy(build(load_base("embedded/vit-duo")), load(name, 28))
        assert found == pytest.approx(facts[name]["features"], abs=0.006)
