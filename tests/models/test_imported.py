"""After the library of models is imported, a model of it takes no more long imports."""

from __future__ import annotations

import subprocess
import sys

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


def test_what_takes_long_is_imported_before_the_first_model() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    later = done.stdout.split()
    assert "transformers.models.vit.modeling_vit" in later
    assert not set(LONG) & set(later)
