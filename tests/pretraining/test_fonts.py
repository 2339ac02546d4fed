"""Printed characters, with the fonts that matplotlib installs in the place of Debian's."""

from __future__ import annotations

import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zfscale.data.pictures import SCRIPTS100
from zfscale.errors import DataError
from zfscale.pretraining import packages
from zfscale.pretraining.fonts import INK, SIDE, complex_script, draw, font_files, learned, thinned


def files() -> list[Path]:
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    return sorted((Path(spec.origin).parent / "mpl-data/fonts/ttf").glob("DejaVuSans*.ttf"))


def test_drawings_are_framed_and_of_the_fonts_that_have_them():
    drawings = draw(files(), lambda has: has & {"ա", "ב", "中"}, fonts=100)
    assert drawings.characters == ("ա", "ב")
    assert drawings.x.shape == (len(drawings.y), SIDE, SIDE)
    rows, columns = (drawings.x.any(axis).sum(1) for axis in (2, 1))
    assert np.maximum(rows, columns).max() <= INK
    assert np.maximum(rows, columns).min() >= INK - 2
    assert len(np.unique(drawings.font)) > 3


def test_a_character_is_drawn_in_so_many_fonts_spread_over_all():
    every = draw(files(), lambda has: has & {"ա"}, fonts=100)
    some = draw(files(), lambda has: has & {"ա"}, fonts=3)
    assert len(some.y) == 3
    assert np.ptp(some.font) > len(every.y) // 3


def test_what_is_tested_on_is_not_learned():
    assert not learned({*SCRIPTS100, *"abzABZ019éßΑαЯяアー", "๑", "ก", "ᴀ", "Ａ"})
    assert learned({"ㄱ", "ב", "中", "한", "ա"}) == {"ב", "中", "한"}  # letters of two cases look like Latin ones
    assert not learned({"뷁"})  # a syllable that KS X 1001 lacks
    assert [complex_script(c) for c in "中한בա"] == [True, True, False, False]
    assert len(SCRIPTS100) == len(set(SCRIPTS100)) == 100


def test_a_script_is_thinned_evenly():
    hangul = {chr(c) for c in range(0xAC00, 0xAC00 + 100)}
    kept = thinned({*hangul, "ב"}, 10)
    assert len(kept) == 11
    assert kept - hangul == {"ב"}


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch):
    def none(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "")

    monkeypatch.setattr(packages.subprocess, "run", none)
    with pytest.raises(DataError, match=r"2 packages of fonts are missing; run: apt-get install fonts-a fonts-b$"):
        font_files(["fonts-a", "fonts-b"])
