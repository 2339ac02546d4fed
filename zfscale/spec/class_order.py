"""In which order the classes of a class-incremental stream arrive: drawn from a seed, or as listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from zfscale.spec.names import Finding
from zfscale.spec.problems import show
from zfscale.spec.stream import StreamSpec

PLACE = ("stream", "class_order")


def misfit(stream: StreamSpec, classes: int, dataset: str, names: Sequence[str] = ()) -> Finding | None:
    """Why the listed order is no permutation of the classes; None if it is one, or if the order is drawn.

    Before the data is read the `names` are not known: then names are only counted.
    """
    listed = stream.class_order
    if listed is None:
        return None
    twice = [entry for entry, count in Counter(_numbers(listed, names)).items() if count > 1]
    if twice:
        return PLACE, f"{show(_named(twice[0], names))} is listed twice; allowed: every class of {dataset} once"
    wrong = [entry for entry in listed if not _known(entry, classes, names)]
    if wrong:
        known = f"0 to {classes - 1}" + (f", or {', '.join(names[:10])}{' ...' * (len(names) > 10)}" if names else "")
        return PLACE, f"{show(wrong[0])} is no class of {dataset}; allowed: {known}"
    if len(listed) != classes:
        return PLACE, f"{len(listed)} of the {classes} classes of {dataset}; allowed: every class once"
    return None


def listed_order(listed: Sequence[str | int], names: Sequence[str]) -> list[int]:
    """The numbers of the listed classes, which are a permutation of `names`.

    >>> listed_order(["b", 0], ("a", "b"))
    [1, 0]
    """
    return [int(entry) for entry in _numbers(listed, names)]


def _numbers(listed: Sequence[str | int], names: Sequence[str]) -> list[str | int]:
    """Numbers in place of the names that are known."""
    number: dict[str | int, int] = {name: i for i, name in enumerate(names)}
    return [number.get(entry, entry) for entry in listed]


def _named(entry: str | int, names: Sequence[str]) -> str | int:
    return names[entry] if isinstance(entry, int) and entry < len(names) else entry


def _known(entry: str | int, classes: int, names: Sequence[str]) -> bool:
    return entry < classes if isinstance(entry, int) else not names or entry in names
