"""Class labels as tables have them: text, or integers, which are classes in sorted order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

NUMBER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


def class_names(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels, integers by their size, text by its characters.

    >>> class_names(["10", "9"]), class_names(["b", "10", "9"])
    (('9', '10'), ('10', '9', 'b'))
    """
    names = set(labels)
    if all(NUMBER.fullmatch(name) for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def numbered(labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """int64 [N]: the class number of each label."""
    number = {name: i for i, name in enumerate(classes)}
    return np.fromiter((number[label] for label in labels), np.int64, len(labels))
