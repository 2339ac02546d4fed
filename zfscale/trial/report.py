"""What a trial says after every stage, to whoever runs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zfscale.training.journal import Journal


@dataclass(frozen=True)
class Report:
    """The measures of a trial up to a stage, 1..K, by their names in `Outcome`; the last stage's are the trial's.

    `last` says that no stage follows, so that nothing is saved by stopping here. Inside a stage, after `step` steps of
    the trial, `stage` is the last that is behind it, and the one measure is the mean `loss` of late. `steps` are those
    of the trial so far, the last of them of `task`.
    """

    stage: int
    measures: dict[str, Any]
    last: bool = False
    step: int = 0
    steps: int = 0
    task: int = 0


def learned(walk: Iterable[None], journal: Journal, stage: int) -> Iterator[Report]:
    """Walk a stage to its end, which is the one after `stage`: the reports inside it, if anybody looks at them."""
    for _ in walk:
        if journal.due:
            yield Report(stage, {"loss": journal.recent}, step=journal.steps)
