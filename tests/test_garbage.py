"""What a warm process keeps is frozen, again when it has imported more; garbage is not kept."""

from __future__ import annotations

import gc
import sys
import types
import weakref

import pytest

from zfscale.garbage import Settled, freeze, uncollected


@pytest.fixture(autouse=True)
def thawed():
    before = gc.get_freeze_count()
    yield
    if not before:
        gc.unfreeze()


class Knot:
    """Part of a cycle."""

    def __init__(self):
        self.me = self


def test_what_is_imported_later_is_frozen_between_trials_and_garbage_goes_first(monkeypatch):
    settled = Settled()
    first = gc.get_freeze_count()
    assert first > 1000
    kept, lost = [Knot() for _ in range(1000)], weakref.ref(Knot())
    settled.again()
    assert gc.get_freeze_count() <= first
    monkeypatch.setitem(sys.modules, "imported_by_the_first_trial", types.ModuleType("imported_by_the_first_trial"))
    settled.again()
    assert gc.get_freeze_count() >= first + len(kept)
    assert lost() is None


def test_nothing_is_collected_while_much_is_made_and_then_as_before() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()  # whoever has switched it off
    finally:
        gc.enable()


def test_what_was_made_uncollected_counts_as_old_and_what_was_frozen_stays_so() -> None:
    gc.unfreeze()
    with uncollected():
        made = [Knot() for _ in range(1000)]
    young, old = ({id(one) for one in gc.get_objects(generation=of)} for of in (0, 2))
    mine = {id(one) for one in made}
    assert not mine & young
    assert mine <= old
    freeze()
    with uncollected():
        pass
    assert not mine & {id(one) for one in gc.get_objects()}


def test_what_is_frozen_is_not_looked_through_again() -> None:
    kept = Knot()
    assert any(one is kept for one in gc.get_objects())
    freeze()
    assert not any(one is kept for one in gc.get_objects())
