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
    host, port = cluster.rsplit(":", 1)
    while time.monotonic() < deadline:
        if not ray.is_initialized():
            if listens(host, int(port)):
                ray.init(address=cluster, log_to_driver=False, logging_level=logging.ERROR)
        else:
            joined = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
            if expected <= joined:
                have = ray.cluster_resources()
                print(f"{len(joined)} Ray nodes: {have.get('CPU', 0):g} CPUs, {have.get('GPU', 0):g} GPUs", flush=True)
                return None
        time.sleep(0.5)
    missing = ", ".join(sorted(expected - joined))
    return f"{len(expected - joined)} of {len(expected)} Ray nodes have not joined in {seconds:g} s: {missing}"


def listens(host: str, port: int) -> bool:
    """Whether there is a server."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), set(sys.argv[3:])))
