"""An attribute is otherwise inside the block alone, whatever happens there."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from zfscale.patching import replaced


def test_it_is_otherwise_for_a_while() -> None:
    owner = SimpleNamespace(a=1)
    with replaced(owner, "a", 2):
        assert owner.a == 2
    assert owner.a == 1


def test_an_error_leaves_nothing_changed() -> None:
    owner = SimpleNamespace(a=1)
    with pytest.raises(KeyError), replaced(owner, "a", 2):
        raise KeyError
    assert owner.a == 1


def test_what_the_library_does_not_have_is_an_error() -> None:
    with pytest.raises(AttributeError), replaced(SimpleNamespace(), "a", 2):
        pass
