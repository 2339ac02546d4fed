"""The image's recipe is linted by hadolint, and what it copies and installs exists."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from programs import REPOSITORY, tool

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib; the image's has")
DOCKERFILE = REPOSITORY / "cluster/docker/Dockerfile"


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, arguments) in order; comments dropped, continued lines joined."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", "")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines.splitlines() if line.strip()]


def hadolint(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("hadolint"), "--no-color", "-"], input=text, capture_output=True, text=True)


def test_hadolint_finds_nothing() -> None:
    found = hadolint(DOCKERFILE.read_text())
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("USER 1000:1000", "USER root", "DL3002"),
        ("python:3.11-slim-bookworm", "python:latest", "DL3007"),
        (' "-euo", "pipefail",', "", "DL4006"),
        (" && rm -rf /var/lib/apt/lists/*", "", "DL3009"),
        ("WORKDIR /src", "RUN cd /src", "DL3003"),
        ("COPY zfscale zfscale", "COPPY zfscale zfscale", "unexpected"),
    ],
)
def test_hadolint_finds_what_is_broken(old: str, new: str, rule: str) -> None:
    text = DOCKERFILE.read_text()
    assert old in text
    found = hadolint(text.replace(old, new))
    assert found.returncode != 0
    assert rule in found.stdout + found.stderr


def test_it_runs_as_a_user_whom_kubernetes_can_tell_from_root() -> None:
    users = [arguments for name, arguments in instructions(DOCKERFILE.read_text()) if name == "USER"]
    assert users == ["1000:1000"]
    manifest = (REPOSITORY / "cluster/kubernetes/base/rayjob.yaml").read_text()
    assert "runAsUser: 1000" in manifest
    assert "runAsGroup: 1000" in manifest


def test_what_it_copies_exists_and_is_in_the_build_context() -> None:
    ignore = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    kept = [line[1:] for line in ignore if line.startswith("!")]
    assert ignore[0] == "*"
    copies = [args.split()[:-1] for name, args in instructions(DOCKERFILE.read_text()) if name == "COPY"]
    assert sorted(source for sources in copies for source in sources) == sorted(kept)
    for source in kept:
        assert (REPOSITORY / source).exists()
    assert any(fnmatch("zfscale/__pycache__", line) for line in ignore[1:])


def test_code_is_copied_after_everything_is_installed() -> None:
    order = [f"{name} {arguments}" for name, arguments in instructions(DOCKERFILE.read_text())]
    code = order.index("COPY zfscale zfscale")
    assert [i for i, line in enumerate(order) if "pip install" in line and i > code] == [code + 1]
    assert order[code + 1] == "RUN pip install --no-deps --no-build-isolation ."
    installs = [line for line in order[:code] if "pip install" in line]
    assert len(installs) == 2
    assert all("-c requirements.lock" in line for line in installs)


def test_the_list_of_packages_is_the_projects() -> None:
    """The one-liner that reads pyproject.toml is run as the image would run it."""
    (line,) = [a for n, a in instructions(DOCKERFILE.read_text()) if n == "RUN" and "tomllib" in a]
    program, bar, install = line.partition(" | ")
    assert bar
    assert install.strip() == "pip install -c requirements.lock -r /dev/stdin"
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    shell = ["bash", "-euo", "pipefail", "-c", program]
    packages = subprocess.check_output(shell, cwd=REPOSITORY, env=environment, text=True).splitlines()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert packages == [*project["dependencies"], *extras["cluster"], *extras["gguf"]]
    assert any(package.startswith("ray[default]") for package in packages), "the job API of Ray's dashboard"


def test_torch_is_the_locked_version_of_the_chosen_build() -> None:
    (line,) = [a for n, a in instructions(DOCKERFILE.read_text()) if n == "RUN" and "^torch==" in a]
    quoted = re.search(r'"(\$\(grep.*?\)\+\$\{TORCH\})"', line)
    assert quoted is not None
    for build in ("cpu", "cu130"):
        command = f'TORCH={build}; echo "{quoted[1]}"'
        said = subprocess.check_output(["bash", "-euo", "pipefail", "-c", command], cwd=REPOSITORY, text=True)
        assert re.fullmatch(rf"torch==\d+\.\d+\.\d+\+{build}\n", said)
    assert ("ARG", "TORCH=cpu") in instructions(DOCKERFILE.read_text())
