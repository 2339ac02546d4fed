"""The names of splits: which is trained on and which is tested on, alike for directories, tables and the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zfscale.errors import DataError

Role = Literal["train", "test", "validation"]
WORDS: dict[Role, tuple[str, ...]] = {
    "train": ("train", "training"),
    "test": ("test", "testing", "eval", "evaluation"),
    "validation": ("validation", "valid", "val", "dev"),
}


@dataclass(frozen=True)
class Chosen:
    """The splits that are used, by name; `test` is None where it is cut out of `train`, and `notes` say so."""

    train: str
    test: str | None
    notes: tuple[str, ...] = ()


def role(name: str) -> Role | None:
    """What a split of this name is for, in any case; None if the name does not say.

    >>> role("Training"), role("VAL"), role("extra")
    ('train', 'validation', None)
    """
    return next((role for role, words in WORDS.items() if name.lower() in words), None)


def choose(names: Sequence[str], where: str, remedy: str) -> Chosen:
    """Train on the split for training; test on that for testing, else on that for validation, else on a share.

    The only split there is, whatever its name, is cut in two.
    Errors: DataError if two splits have one role, or if none is for training; `remedy` says what to do then.
    """
    assert names
    if len(names) == 1:
        return Chosen(names[0], None, (f"its only split, {names[0]!r}, is cut into 80 % to train and 20 % to test on",))
    of: dict[Role, str] = {}
    for name in names:
        if (what := role(name)) is not None and of.setdefault(what, name) != name:
            raise DataError(f"{where}: {of[what]!r} and {name!r} are both splits for {_FOR[what]}; {remedy}")
    if "train" not in of:
        raise DataError(f"{where}: none of its splits ({', '.join(names)}) is one for training; {remedy}")
    test = of.get("test", of.get("validation"))
    unused = [repr(name) for name in names if name not in (of["train"], test)]
    notes = [f"not used: the split{'s' * (len(unused) > 1)} {', '.join(unused)}"] if unused else []
    if test is None:
        notes.append(f"no split to test on; {of['train']!r} is cut into 80 % to train and 20 % to test on")
    return Chosen(of["train"], test, tuple(notes))


_FOR: dict[Role, str] = {"train": "training", "test": "testing", "validation": "validation"}
