"""Wait until nodes have joined a Ray cluster: `wait_for_nodes.py HOST:PORT SECONDS NODE_ADDRESS...`."""

from __future__ import annotations

import logging
import socket
import sys
import time

import ray


def main(cluster: str, seconds: float, expected: set[str]) -> str | None:
    """None when all have joined in time; otherwise what to tell the user."""
    deadline = time.monotonic() + seconds
    joined: set[str] = set()
    problem = ""
    while not expected <= joined:
        if time.monotonic() > deadline:
            missing = sorted(expected - joined)
            late = f"{len(missing)} of {len(expected)} Ray nodes have not joined in {seconds:g} s"
            return f"{late}: {', '.join(missing)}{problem}"
        time.sleep(0.5)
        try:
            if ray.is_initialized():
                joined = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
            elif listens(cluster):
                ray.init(address=cluster, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError) as error:  # a head that starts again, or somebody else's
            problem = f" ({error.__cause__ or error})"
    have = ray.cluster_resources()
    print(f"{len(joined)} Ray nodes: {have.get('CPU', 0):g} CPUs, {have.get('GPU', 0):g} GPUs", flush=True)
    return None


def listens(address: str) -> bool:
    """Whether there is a server."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), set(sys.argv[3:])))
