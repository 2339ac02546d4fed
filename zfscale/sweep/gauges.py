"""How a sweep stands, for Prometheus: Ray's own exporter serves it on the node of the driver, as `ray_zfscale_*`.

Ray starts the exporter where `ray[default]` is installed, as on the clusters of `cluster/`; elsewhere nobody hears.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import ray
from ray.util.metrics import Gauge

if TYPE_CHECKING:
    from zfscale.sweep.progress import Progress


class Gauges:
    """Tells Ray what the display shows, and the user where it is served."""

    def __init__(self, sweep: str) -> None:
        self.tags, self._said = {"sweep": sweep}, False
        self.trials = Gauge("zfscale_trials", "trials of the sweep, by how they stand", ("sweep", "state"))
        self.eta = Gauge("zfscale_eta_seconds", "how long the sweep will still take", ("sweep",))
        self.best = Gauge("zfscale_best", "the best value of search.metric yet", ("sweep", "metric"))

    def tell(self, shown: Progress) -> None:
        """Set every gauge that is known."""
        for state, count in shown.counts.items():
            self.trials.set(count, {**self.tags, "state": state})
        if shown.eta and shown.running:
            self.eta.set(shown.eta.seconds, self.tags)
        if shown.best:
            self.best.set(shown.best[0], {**self.tags, "metric": shown.search.metric})
        self._said = self._said or _say()


def _say() -> bool:
    """Print where this node's exporter is, once Ray knows; whether it was said."""
    here = ray.get_runtime_context().get_node_id()
    node: dict[str, Any] = next((node for node in ray.nodes() if node["NodeID"] == here), {})
    port = node.get("MetricsExportPort", 0)  # 0: not yet; -1: no exporter
    if port > 0:
        print(f"metrics for Prometheus: http://{node['NodeManagerAddress']}:{port}/metrics", file=sys.stderr)
    return bool(port)
