"""What a trial occupies of a cluster, and whether nodes have room for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ray import tune

from zfscale.spec import ResourcesSpec
from zfscale.spec.names import Finding

ROUNDING = 1e-9  # of a quotient


def bundles(asked: ResourcesSpec) -> tune.PlacementGroupFactory:
    """Describe what a trial occupies: a bundle per worker, near each other where they fit."""
    one = {"CPU": float(asked.cpus), "GPU": float(asked.gpus)}
    return tune.PlacementGroupFactory([one] * asked.workers, strategy="PACK")


def lacking(asked: ResourcesSpec, nodes: Iterable[Mapping[str, float]]) -> Finding | None:
    """Say what the nodes lack to have room for one trial; None if they have room."""
    nodes = list(nodes)
    for name, kind, amount in (("cpus", "CPU", asked.cpus), ("gpus", "GPU", asked.gpus)):
        have = max((node.get(kind, 0) for node in nodes), default=0)
        if amount > have:
            where = "there are" if len(nodes) == 1 else "the largest node has"
            return ("resources", name), f"{amount:g} asked for each trial; {where} {have:g}"
    if not any(fits(asked, node) for node in nodes):
        return ("resources",), f"no node has both {asked.cpus} cpus and {asked.gpus:g} gpus"
    if asked.workers > (there := sum(_workers(asked, node) for node in nodes)):
        return ("resources", "workers"), f"{asked.workers} for each trial; there is room for {there}"
    return None


def room(asked: ResourcesSpec, nodes: Iterable[Mapping[str, float]]) -> int:
    """For how many trials at a time the nodes have room, and one at least: it may be there in a moment."""
    return max(sum(_workers(asked, node) for node in nodes) // asked.workers, 1)


def fits(asked: ResourcesSpec, node: Mapping[str, float]) -> bool:
    """Whether a node has room for one worker of a trial."""
    return node.get("CPU", 0) >= asked.cpus and node.get("GPU", 0) >= asked.gpus


def _workers(asked: ResourcesSpec, node: Mapping[str, float]) -> int:
    """Count the workers that a node has room for; a fraction is of one GPU, and never of two."""
    gpus, by_gpu = node.get("GPU", 0), float("inf")
    if asked.gpus:
        by_gpu = gpus // asked.gpus if asked.gpus >= 1 else int(gpus) * int(1 / asked.gpus + ROUNDING)
    return int(min(node.get("CPU", 0) // asked.cpus, by_gpu))
