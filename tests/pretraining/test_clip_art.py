"""Clip art, from a package that is not there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zfscale.pretraining import clip_art, packages
from zfscale.pretraining.small_pictures import SIDE


def test_clip_art_is_of_things_and_none_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of two animals, a copy, an empty picture, a huge one and a sign, the two animals."""
    for folder in ("animals", "food", "signs_and_symbols"):
        (tmp_path / folder).mkdir()
    red, blue = (Image.new("RGBA", (50, 30), colour) for colour in ("red", "blue"))
    red.save(tmp_path / "animals" / "a.png")
    blue.save(tmp_path / "animals" / "b.png")
    red.save(tmp_path / "food" / "a.png")
    blue.save(tmp_path / "signs_and_symbols" / "c.png")
    Image.new("RGBA", (50, 30)).save(tmp_path / "animals" / "empty.png")
    Image.new("RGBA", (clip_art.LARGEST + 1, 2), "green").save(tmp_path / "animals" / "huge.png")
    listing = "\n".join(str(path) for path in tmp_path.rglob("*.png"))
    listed: Any = lambda *_, **__: subprocess.CompletedProcess([], 0, listing, "")  # noqa: E731
    monkeypatch.setattr(packages.subprocess, "run", listed)
    monkeypatch.setattr(clip_art, "ROOT", tmp_path)
    found = clip_art.clip_art()
    assert found.shape == (2, 4, SIDE, SIDE)
    assert found[:, :, SIDE // 2, SIDE // 2].tolist() == [[255, 0, 0, 255], [0, 0, 255, 255]]
    assert found[:, 3, 0, 0].tolist() == [0, 0]
