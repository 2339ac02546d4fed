"""What the controls of a sweep say of its other rows: gain over no training, share of backpropagation's, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zfscale.metrics.catalogue import MEMORY
from zfscale.report.kinds import ABOVE, CLASSES, GAIN, RECOVERED
from zfscale.report.load import UNTRAINED, Run
from zfscale.report.paired import Stat, differences, ratio, stat
from zfscale.report.rows import CONTROLS, OPTIMIZING, TRAINING, Row, rank
from zfscale.zo.catalogue import REFERENCE

Scene = tuple[Any, ...]


@dataclass(frozen=True)
class Controls:
    """The rows with which others are compared, found once, so that a table of very many rows is soon done.

    Args:
        idle: Scene, whatever the training -> the untrained rows there.
        references: Scene -> REFERENCE there, at the best of its settings.
    """

    idle: Mapping[Scene, list[Row]]
    references: Mapping[Scene, Row]

    @classmethod
    def of(cls, table: Sequence[Row]) -> Controls:
        """Those of a table."""
        idle: dict[Scene, list[Row]] = {}
        references: dict[Scene, Row] = {}
        for row in table:
            if row.optimizer == UNTRAINED:
                idle.setdefault(row.scene(OPTIMIZING, TRAINING), []).append(row)
            elif row.optimizer == REFERENCE and row.stats[CLASSES.first].mean is not None:
                kept = references.setdefault(row.scene(OPTIMIZING), row)
                if rank(row, CLASSES.first) < rank(kept, CLASSES.first):
                    references[row.scene(OPTIMIZING)] = row
        return cls(idle, references)

    def untrained(self, row: Row) -> Row | None:
        """The control of a row: its method at rate 0; how long it did not train is no matter."""
        found = self.idle.get(row.scene(OPTIMIZING, TRAINING), [])
        alike = [other for other in found if other.scene(OPTIMIZING) == row.scene(OPTIMIZING)]
        return next(iter([*alike, *found]), None)

    def reference(self, row: Row) -> Row | None:
        """REFERENCE in the row's place, at the best of its settings."""
        return self.references.get(row.scene(OPTIMIZING))

    def gains(self, row: Row) -> dict[Run, float]:
        """Run -> the first measure less that of the untrained control; of a control itself, nothing."""
        control = self.untrained(row)
        if control is None or row.optimizer in CONTROLS:
            return {}
        return differences(row.values(CLASSES.first), control.values(CLASSES.first))

    def derived(self, row: Row) -> dict[str, Stat]:
        """GAIN, RECOVERED and ABOVE of a row."""
        mine, other = self.gains(row), self.reference(row)
        share = Stat() if other is None else ratio(mine, self.gains(other))
        return {GAIN: stat(list(mine.values())), RECOVERED: share, ABOVE: _above(row, self.untrained(row))}


def compared(table: Sequence[Row]) -> list[Row]:
    """The rows of class-incremental trials, in order, with GAIN, RECOVERED and ABOVE among their statistics."""
    controls = Controls.of(table)
    return [replace(row, stats={**row.stats, **controls.derived(row)}) for row in table]


def _above(row: Row, control: Row | None) -> Stat:
    """Peak memory above the control's; nothing where either is a resident set, most of which is no tensor."""
    if control is None or row.optimizer in CONTROLS:
        return Stat()
    if not all(trial.allocator for trial in (*row.trials.values(), *control.trials.values())):
        return Stat()
    return stat(list(differences(row.values(MEMORY), control.values(MEMORY)).values()))
