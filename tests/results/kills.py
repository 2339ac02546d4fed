"""Acts that are killed at each of their writes in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from zfscale.results.storage import Directory

MOST = 1000  # moments of an act


class Killed(BaseException):
    """The process ends here."""


def kills(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], names: Sequence[str] = ("write", "remove", "move")
) -> Iterator[int]:
    """Kill an act at each call of these methods of a directory in turn, until it ends before; each time, halt."""
    for moment in range(MOST):
        left = [moment]
        with monkeypatch.context() as patched:
            for name in names:
                patched.setattr(Directory, name, _killing(getattr(Directory, name), left))
            try:
                act()
                return
            except Killed:
                pass
        yield moment
    pytest.fail("it has no end")


def _killing(real: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def acting(*args: Any) -> Any:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return real(*args)

    return acting
