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


def looked_through(objects: list[Knot], generation: int | None = None) -> int:
    """How many of them the collector would look at. How many are frozen in all says less: others go meanwhile."""
    known = {id(one) for one in gc.get_objects(generation=generation)}
    return sum(id(one) in known for one in objects)


def test_what_is_imported_later_is_frozen_between_trials_and_garbage_goes_first(monkeypatch):
    settled = Settled()
    assert gc.get_freeze_count() > 1000
    kept, lost = [Knot() for _ in range(1000)], weakref.ref(Knot())
    settled.again()
    assert looked_through(kept) == 1000
    monkeypatch.setitem(sys.modules, "imported_by_the_first_trial", types.ModuleType("imported_by_the_first_trial"))
    settled.again()
    assert looked_through(kept) == 0
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
    assert [looked_through(made, generation) for generation in (0, 1, 2)] == [0, 0, 1000]
    freeze()
    with uncollected():
        pass
    assert looked_through(made) == 0


def test_what_is_frozen_is_not_looked_through_again() -> None:
    kept = [Knot()]
    assert looked_through(kept) == 1
    freeze()
    assert looked_through(kept) == 0
