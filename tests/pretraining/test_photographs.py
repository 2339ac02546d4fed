"""Pieces of photographs, from a package that is not there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zfscale.pretraining import packages
from zfscale.pretraining.photographs import SIDE, pieces


def test_every_photograph_is_cut_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of 640 x 320 pixels, 10 by 5 pieces; a link to it, another picture's other size and a text give none."""
    row = np.repeat(np.arange(10, dtype=np.uint8) * 20, SIDE)
    Image.fromarray(np.broadcast_to(row[None, :, None], (5 * SIDE, 10 * SIDE, 3)).copy()).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    for name in ("Stripes.png", "README"):
        (tmp_path / name).write_bytes(b"no picture")
    listing = "\n".join(str(path) for path in tmp_path.iterdir())
    listed: Any = lambda *_, **__: subprocess.CompletedProcess([], 0, listing, "")  # noqa: E731
    monkeypatch.setattr(packages.subprocess, "run", listed)
    found = pieces()
    assert found.shape == (50, 4, SIDE, SIDE)
    assert (found[:, 3] == 255).all()
    assert found[:10, 0, 0, 0].tolist() == (np.arange(10) * 20).tolist()
