"""What the pretrained model alone decides is shared between trials of our methods, never with one from outside."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.conftest import Small
from zfscale.methods.catalogue import Method
from zfscale.methods.simplecil import SimpleCil


class Mine(SimpleCil):
    """A user's method, which may feed the pretrained model what it likes."""

    facts = Method("mine_of_test:Mine", "class_incremental", "none")


def test_a_method_from_outside_has_a_cache_of_its_own(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mine_of_test", sys.modules[__name__])
    cache: dict[Any, Any] = {}
    small.run(small.spec("mine_of_test:Mine"), cache=cache)
    assert not cache
    small.run(small.spec("simplecil"), cache=cache)
    assert cache
