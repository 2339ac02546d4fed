"""The Ray cluster a sweep runs on: joined or started, what its nodes are given, and whether they can run a trial."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import socket
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import zfscale
from zfscale import registry
from zfscale.errors import ZfscaleError, one_line
from zfscale.results.lock import seen
from zfscale.results.storage import Storage, storage
from zfscale.spec import Sweep
from zfscale.spec.names import Finding
from zfscale.sweep import grow
from zfscale.sweep.launch import CLIENT, LOCAL, QUIET
from zfscale.sweep.private import SESSIONS, private_directory

PROBE_SECONDS = 180.0  # for a node to unpack the code and answer
TOKEN_HINT = "a cluster with token authentication needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"


@contextmanager
def connected(address: str, own: Iterable[str] = ()) -> Iterator[Path]:
    """Start a cluster here ("local") or join one that runs; gives a directory for what Tune writes on this machine.

    The directory is private, and goes at the end; all files of a cluster of our own are in it. `own` are the paths of
    what the user has written, which a cluster that runs is sent.
    Errors: ZfscaleError if there is no such cluster, or it cannot be joined.
    """
    with private_directory() as place:
        try:
            _connect(address, own, place)
            yield place
        finally:
            ray.shutdown()


def _connect(address: str, own: Iterable[str], place: Path) -> None:
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    first = place / "code"  # on the workers' module path
    first.mkdir()
    if address == LOCAL:
        options |= {"include_dashboard": False, "_temp_dir": str(place / SESSIONS)}
        (first / "zfscale").symlink_to(Path(zfscale.__file__).parent)
    else:
        options["runtime_env"] = runtime_env_beside_job({"py_modules": code(own), "env_vars": QUIET})
    answers(address)
    try:
        with _working_in(first):
            ray.init(address=address, **options)
    except Exception as error:  # not there, refused, of another version, too slow to start, no ray[client]
        reason = one_line(error)
        hint = f"; {TOKEN_HINT}" if isinstance(error, ConnectionError) else ""
        raise ZfscaleError(f"--address {address}: {reason}{hint}") from error
    if os.environ.get("RAY_AUTH_MODE", "disabled").lower() == "disabled":
        print("warning: this Ray cluster asks for no token: who reaches its ports can run code on it", file=sys.stderr)


@contextmanager
def _working_in(place: Path) -> Iterator[None]:
    """Change the working directory, which Ray puts first on the module path of workers when it starts.

    The user's own may hold a `yaml.py`, or any other name that this package or a library imports.
    """
    before = os.getcwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


def runtime_env_beside_job(wanted: dict[str, Any]) -> dict[str, Any]:
    """What of a runtime environment a job submitted with one of its own can be given too; all of it elsewhere.

    Ray refuses two that both name a field, or a variable. A working directory is the user's own choice of code.
    """
    job = json.loads(os.environ.get(RAY_JOB_CONFIG_JSON_ENV_VAR, "{}")).get("runtime_env") or {}
    variables = {name: value for name, value in wanted["env_vars"].items() if name not in job.get("env_vars", {})}
    mine = {} if {"py_modules", "working_dir"} & set(job) else {"py_modules": wanted["py_modules"]}
    return {**mine, "env_vars": variables}


def answers(address: str) -> None:
    """ZfscaleError at once where nothing listens, which Ray would try for half a minute."""
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    if colon:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except (OSError, ValueError, OverflowError) as error:
            raise ZfscaleError(f"--address {address}: no answer there: {error}") from error


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


def check_resources(sweep: Sweep, own: bool = False) -> None:
    """Tune would wait for ever, and in silence, for what no node can give.

    A cluster that this process started for itself (`own`) never grows.
    Errors: SpecError if there is no room for one trial and none comes, which is waited for where the cluster may grow.
    """
    lacking = _lacking(sweep, [node["Resources"] for node in _alive()])
    if lacking and not own and grow.can_grow():
        refused = grow.await_room(sweep.spec.resources)
        lacking = (lacking[0], f"{lacking[1]}; {refused}") if refused else None
    if lacking:
        raise sweep.document.error(dict([lacking]))


def _lacking(sweep: Sweep, nodes: list[dict[str, float]]) -> Finding | None:
    """What the nodes lack to have room for one trial; None if they have it."""
    asked = sweep.spec.resources
    for name, kind, amount in (("cpus", "CPU", asked.cpus), ("gpus", "GPU", asked.gpus)):
        have = max((node.get(kind, 0) for node in nodes), default=0)
        if amount > have:
            where = "there are" if len(nodes) == 1 else "the largest node has"
            return ("resources", name), f"{amount:g} asked for each trial; {where} {have:g}"
    if not any(_fits(node, sweep) for node in nodes):
        return ("resources",), f"no node has both {asked.cpus} cpus and {asked.gpus:g} gpus"
    if asked.workers > (room := sum(map(partial(_room, sweep), nodes))):
        return ("resources", "workers"), f"{asked.workers} for each trial; there is room for {room}"
    return None


def check_nodes(results: Storage, run: str, sweep: Sweep, own: Mapping[str, str]) -> None:
    """Ask every other node that can run a trial whether it sees the results and has the user's own code.

    Errors: ZfscaleError that names the node, before any trial starts.
    """
    here = ray.get_runtime_context().get_node_id()
    nodes = [node for node in _alive() if node["NodeID"] != here and _fits(node["Resources"], sweep)]
    look = ray.remote(num_cpus=0, max_retries=0)(look_around)
    asked = {}
    for node in nodes:
        there = look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        asked[there.remote(*where(sweep), run, module_path(own), own)] = node
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_SECONDS) if asked else ([], [])
    if silent:
        raise ZfscaleError(f"node {asked[silent[0]]['NodeName']}: no answer in {PROBE_SECONDS:g} s")
    for answer in answered:
        try:
            problem = ray.get(answer)
        except Exception as error:  # whatever keeps that node from running our code
            problem = str(error).strip().rpartition("\n")[2]
        if problem:
            raise ZfscaleError(f"node {asked[answer]['NodeName']}: {problem}")


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


def where(sweep: Sweep) -> tuple[str, str]:
    """`output.dir`, absolute, since nodes have other working directories, and the sweep's name."""
    place = sweep.spec.output.dir
    return place if "://" in place else os.path.abspath(place), sweep.spec.name


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


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _fits(node: Mapping[str, float], sweep: Sweep) -> bool:
    asked = sweep.spec.resources
    return node.get("CPU", 0) >= asked.cpus and node.get("GPU", 0) >= asked.gpus


def _room(sweep: Sweep, node: Mapping[str, float]) -> int:
    """How many workers a node has room for."""
    asked = sweep.spec.resources
    by_gpu = node.get("GPU", 0) // asked.gpus if asked.gpus else float("inf")
    return int(min(node.get("CPU", 0) // asked.cpus, by_gpu))
