"""A node of the cluster: the code it is sent, where it finds modules, whether it can run trials, and its name."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import sysconfig
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

import zfscale
from zfscale import registry
from zfscale.errors import ZfscaleError, one_line
from zfscale.results.lock import seen
from zfscale.results.storage import storage
from zfscale.spec import Sweep


@dataclass(frozen=True)
class ModulePath:
    """Where the driver finds modules: for workers, which share its disk or have been sent the code.

    Args:
        libraries: Directories of what is installed.
        own: The working directory, if a trial needs code of the user's own. Workers look there last, and only
            once they have imported everything else.
    """

    libraries: list[str]
    own: list[str]


def module_path(own: Collection[str]) -> ModulePath:
    """The module path that workers are given, which need the user's `own` code."""
    here = os.getcwd()
    return ModulePath([place for place in sys.path if place not in ("", here)], [here] if own else [])


def extend_path(path: list[str]) -> None:
    """Look for modules there as well."""
    sys.path += [place for place in path if place not in sys.path]


def where(sweep: Sweep) -> tuple[str, str]:
    """`output.dir`, absolute, since nodes have other working directories, and the sweep's name."""
    place = sweep.spec.output.dir
    return place if "://" in place else os.path.abspath(place), sweep.spec.name


def code(own: Iterable[str]) -> list[str]:
    """What every node is sent: this package, so that all run the same, and the modules of the user's own code.

    Of `package.module:Name` it is the whole package (or the module, if there is no package), unless
    that is installed: then the nodes are to have it as they have torch.
    """
    found = [str(Path(zfscale.__file__).parent)]
    for name in sorted({path.partition(":")[0].partition(".")[0] for path in own}):
        module = importlib.util.find_spec(name)
        if module is not None and (place := _source(module)) is not None:
            found.append(os.path.abspath(place))
    return found


def _source(module: Any) -> str | None:
    folders = list(module.submodule_search_locations or ())
    place = folders[0] if folders else module.origin
    installed = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    return None if any(Path(place).is_relative_to(folder) for folder in installed) else str(place)


def look_around(place: str, name: str, run: str, path: ModulePath, own: Mapping[str, str]) -> str | None:
    """What keeps this node from running trials, which need the user's `own` code; None if nothing does."""
    extend_path(path.libraries)
    import zfscale.training.objective  # noqa: F401 (torch before the user's own)

    extend_path(path.own)
    for one, key in own.items():
        try:
            registry.load_user(one)
        except Exception as error:  # whatever a user's module raises
            return f"{key}: {one!r} cannot be imported: {one_line(error)}"
    try:
        return unseen(place, name, run)
    except (ZfscaleError, OSError) as error:
        return str(error)


def unseen(place: str, name: str, run: str) -> str | None:
    """What to say where the results are not those that the run writes to; None if they are."""
    if seen(storage(place, name), run):
        return None
    return f"output.dir: {place!r} is not shared: it must be a directory that all nodes see, or a URL (s3://, gs://)"


def node_name() -> str:
    """Slurm's name of this node, else the one Ray's node was given, else the host's."""
    me = ray.get_runtime_context().get_node_id()
    given = next(node for node in ray.nodes() if node["NodeID"] == me)
    named = given["NodeName"] if given["NodeName"] != given["NodeManagerAddress"] else socket.gethostname()
    return os.environ.get("SLURMD_NODENAME") or named
