"""Text domains: a tokenizer, an empty cache, a hundred poems."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.poems import Counting
from zfscale.data import hub_texts


@pytest.fixture
def tokenizer(cache: Path) -> Counting:
    return Counting()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of token streams, empty; the working directory is elsewhere too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(hub_texts, "revision_of", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "xdg" / "zfscale" / "text"


@pytest.fixture
def poems(tmp_path: Path) -> dict[str, str]:
    """A hundred files of some 60 bytes in two directories; a glob for them."""
    for i in range(100):
        file = tmp_path / "poems" / "ab"[i % 2] / f"{i:02}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"poem {i}: roses are red, violets are blue, {'naïve ' * (i % 7)}{i * i}")
    (tmp_path / "poems" / "notes.md").write_text("no poem")
    return {"path": str(tmp_path / "poems" / "**" / "*.txt"), "format": "text"}
