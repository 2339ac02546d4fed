"""What the controls of a sweep say of its other rows: gain over no training, share of backpropagation's, memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zfscale.metrics.catalogue import MEMORY
from zfscale.report.kinds import ABOVE, CLASSES, GAIN, RECOVERED
from zfscale.report.load import UNTRAINED, Run
from zfscale.report.paired import Stat, differences, ratio, stat
from zfscale.report.rows import CONTROLS, OPTIMIZING, TRAINING, Row
from zfscale.zo.catalogue import REFERENCE


def compared(table: Sequence[Row]) -> list[Row]:
    """The rows of class-incremental trials, in order, with GAIN, RECOVERED and ABOVE among their statistics."""
    return [replace(row, stats={**row.stats, **_derived(row, table)}) for row in table]


def gains(row: Row, table: Sequence[Row]) -> dict[Run, float]:
    """Run -> the first measure less that of the untrained control; of a control itself, nothing."""
    control = untrained(row, table)
    if control is None or row.optimizer in CONTROLS:
        return {}
    return differences(row.values(CLASSES.first), control.values(CLASSES.first))


def untrained(row: Row, table: Sequence[Row]) -> Row | None:
    """The control of a row: its method at rate 0; how long it did not train is no matter."""
    scene = row.scene(OPTIMIZING, TRAINING)
    found = [other for other in table if other.optimizer == UNTRAINED and other.scene(OPTIMIZING, TRAINING) == scene]
    alike = [other for other in found if other.scene(OPTIMIZING) == row.scene(OPTIMIZING)]
    return next(iter([*alike, *found]), None)


def reference(row: Row, table: Sequence[Row]) -> Row | None:
    """REFERENCE in the row's place, at the best of its settings."""
    scene = row.scene(OPTIMIZING)
    found = [other for other in table if other.optimizer == REFERENCE and other.scene(OPTIMIZING) == scene]
    means = [(other.stats[CLASSES.first].mean, i) for i, other in enumerate(found)]
    known = [(mean, -i) for mean, i in means if mean is not None]
    return found[-max(known)[1]] if known else None


def _derived(row: Row, table: Sequence[Row]) -> dict[str, Stat]:
    mine, other = gains(row, table), reference(row, table)
    share = Stat() if other is None else ratio(mine, gains(other, table))
    return {GAIN: stat(list(mine.values())), RECOVERED: share, ABOVE: _above(row, untrained(row, table))}


def _above(row: Row, control: Row | None) -> Stat:
    """Peak memory above the control's; nothing where either is a resident set, most of which is no tensor."""
    if control is None or row.optimizer in CONTROLS:
        return Stat()
    if not all(trial.allocator for trial in (*row.trials.values(), *control.trials.values())):
        return Stat()
    return stat(list(differences(row.values(MEMORY), control.values(MEMORY)).values()))
