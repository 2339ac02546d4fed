"""Dependencies point one way, and the heavy packages have one importer each."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "zfscale"
# importer -> what it may not import (prefixes)
FORBIDDEN = {
    "zo": ["data", "streams", "training", "methods", "models", "engine", "sinks", "sweep", "trial", "spec", "report"],
    "engine": ["data", "streams", "training", "methods", "models", "sinks", "sweep", "trial", "report"],
    "data": ["streams", "training", "methods", "models", "sinks", "sweep", "trial", "report", "zo", "engine"],
    "streams": ["training", "methods", "models", "sinks", "sweep", "trial", "report", "zo", "engine"],
    "models": ["streams", "training", "methods", "sinks", "sweep", "trial", "report"],
    "training": ["methods", "sinks", "sweep", "trial", "report"],
    "methods": ["sinks", "sweep", "trial", "report"],
    "metrics": ["data", "streams", "training", "methods", "models", "sinks", "sweep", "trial", "report", "zo", "spec"],
    "results": ["data", "streams", "training", "methods", "models", "engine", "sinks", "sweep", "trial", "report"],
    "sinks": ["data", "streams", "training", "methods", "models", "engine", "sweep", "trial", "report", "zo"],
    "spec": ["data", "streams", "training", "methods", "models", "engine", "sinks", "sweep", "trial", "report", "zo"],
    "report": ["data", "streams", "training", "methods", "models", "engine", "sweep", "trial", "zo"],
    "trial": ["sweep", "report"],
    "pretraining": ["sinks", "sweep", "trial", "report"],
    "bench": ["sweep", "trial", "report"],
    "commands": ["testing"],
    "tuning": ["sinks", "sweep", "report", "pretraining"],
    "sweep": ["pretraining"],
    "toy": ["data", "streams", "training", "methods", "models", "engine", "sinks", "sweep", "trial", "report"],
    "testing": ["sweep", "report", "pretraining"],
    "measure": ["sinks", "sweep", "report", "pretraining", "engine"],
    "verify": ["sinks", "sweep", "report", "watch"],
    "watch": ["data", "streams", "training", "methods", "models", "engine", "sinks", "sweep", "trial", "report"],
}
IMPORTERS: dict[str, set[str]] = {
    "bench": {"benches.py"},
    "arguments": {"cli.py"},
    "cli": {"__main__.py"},
    "commands": {"arguments.py"},
    "measure": {"ledgers.py"},
    "sweep": {"sweeps.py"},
    "pretraining": {"machines.py"},
    "testing": set(),
    "toy": {"machines.py"},
    "tuning": {"sweeps.py"},
    "verify": {"ledgers.py"},
    "watch": {"results.py", "ledgers.py"},
}
ONLY = {
    "ray": "sweep",
    "deepspeed": "engine/deepspeed.py",
    "wandb": "sinks",
    "wandb_workspaces": "sinks/wandb_workspace.py",
}


def imports(path: Path, typing: bool = True) -> list[str]:
    """What a file imports, at its top or later; unless `typing`, not what only type checkers see."""
    found, tree = [], ast.parse(path.read_text())
    unseen = {id(n) for node in ast.walk(tree) if _only_typing(node) for n in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in unseen and not typing:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            found += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return found


def _only_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@pytest.mark.parametrize("part", FORBIDDEN)
def test_dependencies_point_one_way(part):
    files = [PACKAGE / part] if part.endswith(".py") else sorted((PACKAGE / part).rglob("*.py"))
    assert files
    for file in files:
        names = imports(file, typing=False)
        for name in names:
            for other in FORBIDDEN[part]:
                target = other if other == "torch" else f"zfscale.{other}"
                inside = name == target or name.startswith(target + ".")
                assert not inside or ".catalogue" in name or f"{name}.catalogue" in names, f"{file} imports {name}"


@pytest.mark.parametrize("package", ONLY)
def test_heavy_packages_have_one_importer(package):
    users = {f for f in PACKAGE.rglob("*.py") if any(n.split(".")[0] == package for n in imports(f))}
    assert users
    assert all(f.is_relative_to(PACKAGE / ONLY[package]) for f in users), users


def test_names_are_imported_from_where_they_stand():
    """A package offers what its `__all__` lists; any other name has one home."""
    stray, known = [], {_name(file): _names(file) for file in PACKAGE.rglob("*.py")}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in known:
                here = known[node.module]
                stray += [
                    f"{file}: {node.module}.{one.name}"
                    for one in node.names
                    if one.name not in here and f"{node.module}.{one.name}" not in known
                ]
    assert stray == []


def _name(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def _names(file: Path) -> set[str]:
    """What a module defines, and what it says that it offers."""
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            mine = {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
            found |= {*ast.literal_eval(node.value)} if "__all__" in mine and node.value else mine
    return found


def test_every_room_has_its_rule():
    assert set(FORBIDDEN) == {file.parent.name for file in PACKAGE.glob("*/__init__.py")}


@pytest.mark.parametrize("part", IMPORTERS)
def test_what_stands_above_the_others_is_imported_by_few(part):
    name = f"zfscale.{part}"
    users = {f for f in PACKAGE.rglob("*.py") if any(n == name or n.startswith(f"{name}.") for n in imports(f))}
    outside = {f.name for f in users if not f.is_relative_to(PACKAGE / part)}
    assert outside == IMPORTERS[part]


def test_catalogues_offer_what_is_there():
    from zfscale import registry
    from zfscale.data.embedded_texts import DOMAINS
    from zfscale.data.images import DATASETS
    from zfscale.methods.catalogue import METHODS
    from zfscale.models.catalogue import FAMILIES
    from zfscale.models.load import EMBEDDED
    from zfscale.pretraining.catalogue import BUILDERS
    from zfscale.spec import OptimizerSpec
    from zfscale.spec.names import CLASSES, IMAGE_MODELS, LANGUAGE_MODELS, MODELS, TEXTS
    from zfscale.streams.catalogue import STREAMS
    from zfscale.zo.catalogue import OPTIMIZERS
    from zfscale.zo.step import make_algorithm

    assert {facts.stream for facts in METHODS.values()} == set(STREAMS)
    assert all(isinstance(facts.load(), type) for facts in METHODS.values())
    assert all(isinstance(facts.load(), type) for facts in STREAMS.values())
    assert all(isinstance(registry.load(path), type) for path in FAMILIES.values())
    assert all(callable(registry.load(path)) for path in BUILDERS.values())
    assert set(CLASSES) == set(DATASETS)
    assert set(TEXTS) == set(DOMAINS)
    assert {*MODELS, *LANGUAGE_MODELS, *IMAGE_MODELS} == {
        f"embedded/{d.name}" for d in EMBEDDED.iterdir() if d.is_dir()
    }
    for name, facts in OPTIMIZERS.items():
        assert facts.first_order or make_algorithm(OptimizerSpec(name=name, lr=1)).update is not None


NAMES_OF = "name|method|optimizer|noise|kind"


def test_no_fact_is_read_off_a_name():
    """No part of a method's or an optimizer's name is looked for outside the catalogues."""
    from zfscale.methods.catalogue import METHODS
    from zfscale.zo.catalogue import OPTIMIZERS

    words = {part for name in (*OPTIMIZERS, *METHODS) for part in (name, *name.split("-"))} - {"zero", "grad", "joint"}
    parts = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    tests = rf"""(startswith|endswith|removeprefix|removesuffix)\(["'](-?({parts})-?)["']|"""
    tests += rf"""["']-?({parts})-?["'] (not )?in \w|"""
    tests += rf"""name [!=]= ["']({parts})["']|({NAMES_OF}) in [(\[{{]?["']({parts})["']"""
    found = {f"{f}: {m[0]}" for f in PACKAGE.rglob("*.py") for m in re.finditer(tests, f.read_text())}
    assert {f for f in found if "catalogue.py" not in f} == set()


@pytest.mark.parametrize("catalogue", sorted(PACKAGE.rglob("catalogue.py")), ids=lambda path: path.parent.name)
def test_catalogues_need_no_torch(catalogue):
    module = ".".join(catalogue.relative_to(PACKAGE.parent).with_suffix("").parts)
    code = f"import sys, {module}; print({{'torch', 'transformers', 'ray', 'deepspeed'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_types_are_shipped():
    """A type checker reads a package's annotations only where this file is installed with it."""
    from setuptools.config.pyprojecttoml import read_configuration

    shipped = read_configuration(PACKAGE.parent / "pyproject.toml")["tool"]["setuptools"]["package-data"]["zfscale"]
    assert "py.typed" in shipped
    assert (PACKAGE / "py.typed").is_file()
