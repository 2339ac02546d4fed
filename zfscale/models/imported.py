"""The library of models, imported ahead of its use where there is time for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING

from zfscale.garbage import uncollected
from zfscale.registry import is_path

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


def import_library(spec: TrialSpec) -> None:
    """Import what every model of transformers needs, which takes seconds, unless the trial's family is a user's own.

    All of it stays, so nothing looks for garbage meanwhile.
    """
    if is_path(spec.model.name):
        return
    with uncollected():
        import transformers.modeling_utils  # noqa: F401


@contextmanager
def importing(specs: Iterable[TrialSpec]) -> Iterator[None]:
    """Import for these trials in another thread, while the block waits for other processes; both end together.

    What goes wrong is told where the library is used, which imports it again.
    """
    thread = Thread(target=_import, args=(specs,))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _import(specs: Iterable[TrialSpec]) -> None:
    with suppress(Exception):
        for spec in specs:
            import_library(spec)
