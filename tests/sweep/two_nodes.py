"""Two Ray nodes on this machine, alpha and beta, with one core each and whatever token the environment says.

Prints their address; "lose beta" on stdin kills the second one as a crash would, the end of stdin ends both.
"""

import sys
from typing import Any

from ray.cluster_utils import Cluster

SIZE: Any = {"num_cpus": 1, "object_store_memory": 200 << 20}

cluster = Cluster(True, head_node_args={**SIZE, "node_name": "alpha", "include_dashboard": False}, connect=False)
beta = cluster.add_node(**SIZE, node_name="beta")
print(cluster.address, flush=True)
for line in sys.stdin:
    assert line == "lose beta\n"
    cluster.remove_node(beta, allow_graceful=False)
    print("lost", flush=True)
cluster.shutdown()
