"""What Ray Tune looks up in Ray's store, kept in this process: it asks for a trial's class five times a trial.

Each time is a round trip to the server of the whole cluster, for which the driver waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune import registry

from zfscale.patching import replaced


@contextmanager
def looked_up_once() -> Iterator[None]:
    """Until the block ends, Tune's registry asks for each key until it has a value, and again when it writes one."""
    kept: dict[bytes, bytes] = {}
    read, write = registry._internal_kv_get, registry._internal_kv_put

    def get(key: bytes) -> bytes | None:
        value = kept.get(key) or read(key)
        if value is not None:
            kept[key] = value
        return value

    def put(key: bytes, value: bytes, overwrite: bool = True) -> Any:
        kept.pop(key, None)
        return write(key, value, overwrite=overwrite)

    with replaced(registry, "_internal_kv_get", get), replaced(registry, "_internal_kv_put", put):
        yield
