"""Room for a trial on a cluster whose autoscaler may add nodes: asked for, and waited for.

What is asked is a placement group, as Tune will make one for each trial. Unlike a request of `ray.autoscaler.sdk`,
which is one for the whole cluster and outlives whoever made it, it goes with this process, however that ends.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import ray
from ray.experimental.internal_kv import _internal_kv_get, internal_kv_get_gcs_client
from ray.util.placement_group import remove_placement_group

from zfscale.spec import ResourcesSpec
from zfscale.sweep.bundles import bundles

WAIT_MINUTES = 20.0  # a spot machine takes some minutes to come and to be set up
LOOK_EVERY = 1.0  # seconds


def can_grow() -> bool:
    """Whether an autoscaler runs that may add nodes; there is no public way to ask.

    Ray's autoscaler tells its address. Where it only watches nodes that others start, v1 calls each type by its node's
    id, and v2 refuses what does not fit. A head that expects v2, which may be slower to start, knows so by itself.
    """
    if _newer():
        return True
    report = json.loads(_internal_kv_get("__autoscaling_status") or "{}").get("autoscaler_report") or {}
    mirrored = {f"node_{node['NodeID']}" for node in ray.nodes()}
    return bool(_internal_kv_get("AutoscalerMetricsAddress")) and not mirrored & set(report.get("active_nodes", ()))


def await_room(resources: ResourcesSpec) -> str | None:
    """Wait until nodes with room for all workers of a trial are there; why they will not be, if they will not."""
    per = "" if resources.workers == 1 else f"{resources.workers} workers of "
    what = f"{per}{resources.cpus} cpus" + (f", {resources.gpus:g} gpus" if resources.gpus else "")
    print(
        f"no node has room for a trial ({what}): waiting up to {WAIT_MINUTES:g} min for the cluster to grow",
        file=sys.stderr,
    )
    group, end = bundles(resources).to_placement_group(), time.monotonic() + 60 * WAIT_MINUTES
    try:
        while not group.wait(LOOK_EVERY):  # in short: Ctrl-C must get through
            if _refused(group) or not can_grow():
                return "the cluster cannot add nodes with room for it"
            if time.monotonic() > end:
                return f"none with room for it came in {WAIT_MINUTES:g} min"
    finally:
        remove_placement_group(group)
    return None


def _newer() -> bool:
    from ray.autoscaler.v2.utils import is_autoscaler_v2

    return is_autoscaler_v2(fetch_from_server=True)


def _refused(group: Any) -> bool:
    """Whether the autoscaler says that no nodes it may add would do; the older one, v1, says nothing."""
    from ray.core.generated import autoscaler_pb2 as messages

    reply = messages.GetClusterStatusReply()  # type: ignore[attr-defined]
    reply.ParseFromString(internal_kv_get_gcs_client().get_cluster_status())
    return any(group.id.hex() in gang.details for gang in reply.autoscaling_state.infeasible_gang_resource_requests)
