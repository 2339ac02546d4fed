"""What a search has chosen for the trials of a sweep, and what it spent: the block `tuned` of a sweep file.

The space is a product, which cannot say "this rate for this optimizer under this method"; an entry of `tuned` can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, ValidationError

from zfscale.block import Block
from zfscale.spec.document import Document
from zfscale.spec.strays import Assignment
from zfscale.spec.trial import TrialSpec
from zfscale.spec.yaml import Place


class TunedSpec(Block):
    """The values of those trials that train and have what `where` says."""

    where: dict[str, Any] = Field(
        min_length=1, description="dotted path -> what a trial has there that the entry is for; it must train"
    )
    values: dict[str, Any] = Field(description="dotted path -> the value that was chosen")
    forwards: int = Field(ge=0, description="forwards that the search for these values spent; reports show them")
    trials: int = Field(ge=0, description="trials that the search ran")

    def fits(self, trial: TrialSpec) -> bool:
        """Whether the values are meant for a trial; never for an untrained control, whose rate is 0."""
        leaves = trial.leaves() if trial.trains else {}
        return all(leaves.get(path) == value for path, value in self.where.items())


def entry_of(entries: Sequence[TunedSpec], trial: TrialSpec) -> int | None:
    """The index of the first entry that is meant for a trial."""
    return next((i for i, entry in enumerate(entries) if entry.fits(trial)), None)


class Tuned:
    """Gives each trial of a file what was chosen for it, and notes which entries are of use."""

    def __init__(self, entries: Sequence[TunedSpec]) -> None:
        self.entries = entries
        self._used, self._complete = set[int](), True

    def assignments(self, whole: dict[str, Any]) -> list[Assignment]:
        """The values for a trial whose data this is; none for data that are wrong, which others say."""
        try:
            found = entry_of(self.entries, TrialSpec.model_validate(whole))
        except ValidationError:
            self._complete = False
            return []
        if found is None:
            return []
        self._used.add(found)
        values = self.entries[found].values
        return [Assignment(tuple(p.split(".")), value, ("tuned", found, "values", p)) for p, value in values.items()]

    def unused(self, document: Document) -> dict[Place, str]:
        """Entries that no trial has a use for, if all trials are known; with a `--set` there may be such."""
        if document.overridden or not self._complete:
            return {}
        message = "no trial of the file that trains has these values"
        return {("tuned", i, "where"): message for i in range(len(self.entries)) if i not in self._used}
