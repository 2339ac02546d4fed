"""The library of models, imported ahead of its use where there is time for it."""

from __future__ import annotations

from zfscale.garbage import uncollected


def import_library() -> None:
    """Import what every model of transformers needs, which takes seconds; all of it stays, so it is not garbage."""
    with uncollected():
        import transformers.modeling_utils  # noqa: F401
