"""What Ray Tune pickles for a restore that we never ask for."""

from __future__ import annotations

from typing import Any


class Unpickled:
    """A callback, scheduler or searcher that is pickled as nothing: it may hold a large sweep, or a terminal."""

    def __getstate__(self) -> dict[str, Any]:
        return {}
