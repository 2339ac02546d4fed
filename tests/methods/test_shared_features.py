"""What the pretrained model alone decides is shared between trials of our methods, never with one from outside."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from tests.conftest import Small
from zfscale.methods.base import embed
from zfscale.methods.catalogue import METHODS, Method
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


@pytest.mark.parametrize(("method", "states"), [("simplecil", 1), ("ranpac", 1), ("aper", 2), ("pixels", 0)])
def test_an_image_is_embedded_once_by_a_model_that_is_frozen(
    method: str, states: int, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 training and 12 test images, of which those of a task are predicted after every later one, too."""
    embedded: list[bytes] = []

    def counted(engine: Any, images: Any, batch_size: int) -> Any:
        embedded.extend(image.tobytes() for image in images)
        return embed(engine, images, batch_size)

    monkeypatch.setattr("zfscale.methods.classes.embed", counted)
    told = small.run(small.spec(method))
    assert len([e for e in told.evals if e.metric == "accuracy"]) == 6
    assert len(embedded) == 60 * states
    assert set(Counter(embedded).values()) <= {states}


@pytest.mark.parametrize("method", ["simplecil", "ranpac", "aper"])
def test_a_network_is_made_only_for_a_trial_that_asks_for_it(
    method: str, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features that an earlier trial has kept need none; its rows are those of the trial that made one."""
    made: list[type[Any]] = []
    monkeypatch.setattr(
        METHODS[method].load(), "made", lambda self, network: (made.append(type(self)), network.freeze())
    )
    cache: dict[Any, Any] = {}
    first, second = (small.run(small.spec(method), cache=cache) for _ in range(2))
    assert len(made) == (2 if method == "aper" else 1)
    assert first.told == second.told
    assert first.outcome.weights == second.outcome.weights
