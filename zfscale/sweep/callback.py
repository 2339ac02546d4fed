"""A callback of Ray Tune that is not kept."""

from __future__ import annotations

from typing import Any

from ray import tune


class Callback(tune.Callback):
    """Tune pickles its callbacks for a restore that we never ask for: it gets nothing, of large sweeps say."""

    def __getstate__(self) -> dict[str, Any]:
        return {}
