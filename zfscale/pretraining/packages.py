"""The files that packages of Debian have installed: what the embedded models are pretrained on."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterable
from pathlib import Path

from zfscale.errors import DataError


def installed(packages: Iterable[str], suffixes: Collection[str], what: str) -> set[Path]:
    """The files with one of the suffixes. Errors: DataError with the command that installs what is missing."""
    found, missing = set(), []
    for package in packages:
        listed = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
        if listed.returncode:
            missing.append(package)
        found |= {path for path in map(Path, listed.stdout.splitlines()) if path.suffix.lower() in suffixes}
    if missing:
        raise DataError(f"{len(missing)} packages of {what} are missing; run: apt-get install {' '.join(missing)}")
    return {path for path in found if path.is_file()}
