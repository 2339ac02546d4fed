"""The library of models, imported at a stretch."""

from __future__ import annotations

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
