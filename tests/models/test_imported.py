"""After the library of models is imported, a model of it takes no more long imports."""

from __future__ import annotations

import gc
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from zfscale.models.imported import import_library, importing

LOOK = """
import gc, sys
from zfscale.models.imported import import_library
from types import SimpleNamespace
def of(name):
    return SimpleNamespace(model=SimpleNamespace(name=name))
import_library(of("own.models:Mine"))
assert "transformers" not in sys.modules
import_library(of("embedded/vit-nano"))
assert gc.isenabled()
before = set(sys.modules)
from zfscale.models.vit import build, load_base
build(load_base("embedded/vit-nano"))
print(*sorted(set(sys.modules) - before))
"""
LONG = ("torch._dynamo", "torch.distributed.tensor", "scipy.optimize", "transformers.modeling_utils")


def test_an_import_that_fails_is_left_to_where_the_library_is_used(monkeypatch, capfd) -> None:
    monkeypatch.setitem(sys.modules, "transformers.modeling_utils", None)
    spec: Any = SimpleNamespace(model=SimpleNamespace(name="embedded/vit-nano"))
    with pytest.raises(ModuleNotFoundError):
        import_library(spec)
    with importing([spec]):
        pass
    assert capfd.readouterr().err == ""
    assert gc.isenabled()


def test_what_takes_long_is_imported_before_the_first_model() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    later = done.stdout.split()
    assert "transformers.models.vit.modeling_vit" in later
    assert not set(LONG) & set(later)
