"""The embedded dataset of characters that vit-mini has not seen, and how it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.pretraining.test_fonts import files
from zfscale.data.images import load
from zfscale.data.pictures import EMBEDDED
from zfscale.pretraining import scripts100
from zfscale.pretraining.scripts100 import build_scripts100, family


def test_what_the_package_carries():
    data = load("scripts100", 28)
    assert (EMBEDDED / "scripts100.png").stat().st_size < 3_000_000
    assert data.train_x.shape == (6000, 1, 28, 28)
    assert data.test_x.shape == (2000, 1, 28, 28)
    assert set(np.bincount(data.train_y)) == {60}
    assert set(np.bincount(data.test_y)) == {20}
    assert data.train_x.any((1, 2, 3)).all()


def test_it_is_drawn_again_from_the_same_fonts(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scripts100, "font_files", files)
    monkeypatch.setattr(scripts100, "SCRIPTS100", "אבגד")
    monkeypatch.setattr(scripts100, "TEST_FAMILIES", 2)
    monkeypatch.setattr(scripts100, "family", str.lower)
    for out in ("a", "b"):
        (tmp_path / out).mkdir()
        found = build_scripts100(out=tmp_path / out)
    assert found["images"] == 320
    pages = [np.asarray(Image.open(tmp_path / out / "scripts100.png")) for out in ("a", "b")]
    assert np.array_equal(pages[0], pages[1])
    assert pages[0].shape == (4 * 28, 80 * 28)


def test_families():
    assert {family(f"Loma{style}.otf") for style in ("", "-Bold", "-Oblique")} == {"loma"}
    assert family("NotoSansThai-Regular.ttf") != family("Loma.otf")
