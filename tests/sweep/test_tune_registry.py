"""Tune's registry asks Ray's store once for what is there, and again for what was not or has been written."""

from __future__ import annotations

from typing import Any

import pytest
from ray.tune import registry

from zfscale.sweep.tune_registry import looked_up_once

KEY = ("trainable_class", "a name")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Keys for which the store, here a dictionary, was asked."""
    store, seen = dict[bytes, bytes](), list[bytes]()

    def get(key: bytes) -> bytes | None:
        seen.append(key)
        return store.get(key)

    def put(key: bytes, value: bytes, overwrite: bool) -> Any:
        store[key] = value

    monkeypatch.setattr(registry, "_internal_kv_initialized", lambda: True)
    monkeypatch.setattr(registry, "_internal_kv_get", get)
    monkeypatch.setattr(registry, "_internal_kv_put", put)
    return seen


def test_what_is_there_is_asked_for_once(asked: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    found = registry._Registry(prefix="a job")  # else it would start Ray, to be told which job this is
    monkeypatch.setattr(found, "_register_atexit", lambda: None)
    with looked_up_once():
        assert not found.contains(*KEY)
        found.register(*KEY, 1)
        assert [found.contains(*KEY), found.get(*KEY), found.get(*KEY)] == [True, 1, 1]
        assert len(asked) == 2
        found.register(*KEY, 2)
        assert found.get(*KEY) == 2
    assert len(asked) == 3
    assert (found.get(*KEY), len(asked)) == (2, 4)
