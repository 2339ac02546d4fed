"""What a trial says after every stage, to whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Report:
    """The measures of a trial up to a stage, 1..K, by their names in `Outcome`; the last stage's are the trial's.

    `last` says that no stage follows, so that nothing is saved by stopping here.
    """

    stage: int
    measures: dict[str, Any]
    last: bool = False
