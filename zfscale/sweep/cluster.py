"""The Ray cluster a sweep runs on: it is started or joined, and asked whether it can run a trial."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import zfscale
from zfscale.errors import ZfscaleError, one_line
from zfscale.spec import Sweep
from zfscale.sweep import autoscale
from zfscale.sweep.bundles import fits, lacking
from zfscale.sweep.environment import CLIENT, LOCAL, QUIET, as_ctrl_c
from zfscale.sweep.node import code, look_around, module_path, where
from zfscale.sweep.private import SESSIONS, private_directory
from zfscale.sweep.servers import own_sessions, own_sigterm

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
            with as_ctrl_c():  # again: at SIGTERM Ray would write a stack, and abort three seconds later
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
        with _working_in(first), own_sessions(), own_sigterm():
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


def check_resources(sweep: Sweep, own: bool = False) -> None:
    """Tune would wait for ever, and in silence, for what no node can give.

    A cluster that this process started for itself (`own`) never grows.
    Errors: SpecError if there is no room for one trial and none comes, which is waited for where the cluster may grow.
    """
    asked = sweep.spec.resources
    found = lacking(asked, [node["Resources"] for node in _alive()])
    if found and not own and autoscale.can_grow():
        refused = autoscale.await_room(asked)
        found = (found[0], f"{found[1]}; {refused}") if refused else None
    if found:
        raise sweep.document.error(dict([found]))


def check_nodes(run: str, sweep: Sweep, own: Mapping[str, str]) -> None:
    """Ask every other node that can run a trial whether it sees the results and has the user's own code.

    Errors: ZfscaleError that names the node, before any trial starts.
    """
    here = ray.get_runtime_context().get_node_id()
    nodes = [node for node in _alive() if node["NodeID"] != here and fits(sweep.spec.resources, node["Resources"])]
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


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]
