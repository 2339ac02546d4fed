"""Dependencies point one way, and the heavy packages have one importer each."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "zfscale"
# importer -> what it may not import (prefixes)
FORBIDDEN = {
    "zo": ["data", "streams", "training", "methods", "models", "engine", "sinks", "sweep", "trial", "spec", "report"],
    "engine": ["data", "streams", "training", "methods", "models", "sinks", "sweep", "trial", "report"],
    "data": ["streams", "training", "methods", "models", "sinks", "sweep", "trial", "report", "zo", "engine"],
    "streams": ["training", "methods", "models", "sinks", "sweep", "trial", "report", "zo", "engine"],
    "models": ["training", "methods", "sinks", "sweep", "trial", "report"],
    "training": ["methods", "sinks", "sweep", "trial", "report"],
    "methods": ["sinks", "sweep", "trial", "report"],
    "metrics": ["data", "streams", "training", "methods", "models", "sinks", "sweep", "trial", "report", "zo", "spec"],
    "results": ["data", "streams", "training", "methods", "models", "engine", "sinks", "sweep", "trial", "report"],
    "sinks": ["data", "streams", "training", "methods", "models", "engine", "sweep", "trial", "report", "zo"],
    "spec": ["data", "streams", "training", "methods", "models", "engine", "sinks", "sweep", "trial", "report", "zo"],
    "report": ["data", "streams", "training", "methods", "models", "engine", "sweep", "trial", "zo"],
    "trial": ["sweep", "report"],
    "pretraining": ["sinks", "sweep", "trial", "report"],
    "bench": ["sweep", "sinks", "trial", "report"],
}
ONLY = {"ray": "sweep", "deepspeed": "engine/deepspeed.py", "wandb": "sinks/wandb.py"}


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize("part", FORBIDDEN)
def test_dependencies_point_one_way(part):
    files = [PACKAGE / part] if part.endswith(".py") else sorted((PACKAGE / part).rglob("*.py"))
    assert files
    for file in files:
        for name in imports(file):
            for other in FORBIDDEN[part]:
                target = other if other == "torch" else f"zfscale.{other}"
                assert name != target, f"{file} imports {name}"
                assert not name.startswith(target + "."), f"{file} imports {name}"


@pytest.mark.parametrize("package", ONLY)
def test_heavy_packages_have_one_importer(package):
    users = {f for f in PACKAGE.rglob("*.py") if any(n.split(".")[0] == package for n in imports(f))}
    assert users
    assert all(f.is_relative_to(PACKAGE / ONLY[package]) for f in users), users


def test_only_the_command_imports_the_benchmarks():
    users = {f for f in PACKAGE.rglob("*.py") if any(n.startswith("zfscale.bench") for n in imports(f))}
    assert {f for f in users if not f.is_relative_to(PACKAGE / "bench")} == {PACKAGE / "cli.py"}


def test_registries_offer_what_the_spec_allows():
    from typing import get_args

    from zfscale.data.corpora import DOMAINS
    from zfscale.data.images import DATASETS
    from zfscale.methods import DOMAIN_METHODS, METHODS
    from zfscale.models.load import EMBEDDED
    from zfscale.spec import MethodSpec, OptimizerSpec, StreamSpec
    from zfscale.spec.checks import METHODS as ALLOWED
    from zfscale.spec.names import CLASSES, IMAGE_MODELS, LANGUAGE_MODELS, MODELS, TEXTS
    from zfscale.streams import STREAMS
    from zfscale.training.trainers import FIRST_ORDER
    from zfscale.zo.step import make_optimizer

    assert set(get_args(MethodSpec.model_fields["name"].annotation)) == {*METHODS, *DOMAIN_METHODS}
    assert {kind: set(names) for kind, names in ALLOWED.items()} == {
        "class_incremental": set(METHODS),
        "domain_incremental": set(DOMAIN_METHODS),
    }
    assert set(get_args(StreamSpec.model_fields["kind"].annotation)) == set(STREAMS)
    assert set(CLASSES) == set(DATASETS)
    assert set(TEXTS) == set(DOMAINS)
    assert {*MODELS, *LANGUAGE_MODELS, *IMAGE_MODELS} == {
        f"embedded/{d.name}" for d in EMBEDDED.iterdir() if d.is_dir()
    }
    for name in get_args(OptimizerSpec.model_fields["name"].annotation):
        if name not in FIRST_ORDER:
            assert make_optimizer(OptimizerSpec(name=name, lr=1)).update is not None
