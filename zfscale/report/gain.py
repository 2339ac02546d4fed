"""What training buys and costs: a dot an optimizer, its gain over the untrained control beside its seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zfscale.metrics.catalogue import SECONDS
from zfscale.report.kinds import CLASSES, GAIN
from zfscale.report.load import NO_OPTIMIZER
from zfscale.report.paired import Stat, differences, stat
from zfscale.report.panels import panels
from zfscale.report.plot import DPI, style
from zfscale.report.rows import Row

WIDE = 90  # letters of a line above a panel


def draw(rows: Sequence[Row], untrained: Sequence[Row]) -> Figure | None:
    """The figure, or None when no row has a gain.

    Args:
        rows: At most one per method and optimizer in a place, in drawing order, with GAIN among their statistics.
        untrained: Of each of these, its control; the same row may stand for several.
    """
    controls = dict(zip(map(_key, rows), untrained, strict=True))
    shown = panels(row for row in rows if row.stats[GAIN].mean is not None)
    if not shown:
        return None
    names = list(dict.fromkeys(row.optimizer for panel in shown for row in panel.rows))
    idle = [row for row in rows if row.optimizer == NO_OPTIMIZER]
    tall = sum((1.1 if panel.place else 0.9) + 0.24 * len(panel.rows) for panel in shown)
    figure = Figure(figsize=(10.0, tall), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(shown), 2, squeeze=False, sharex="col", width_ratios=(3, 1))
    for panel, (gain, cost) in zip(shown, grid, strict=True):
        places = {row.optimizer: -i for i, row in enumerate(panel.rows)}
        for row in panel.rows:
            colour, place = style(row.optimizer, names)[0], places[row.optimizer]
            _dot(gain, row.stats[GAIN], place, colour, 100)
            _dot(cost, _above(row, controls[_key(row)]), place, colour, 1)
        _dress(gain, places, "points of Avg over the untrained control, ± 1 standard error")
        _dress(cost, {}, "seconds a trial, above the control's")
        panel.title(gain, width=WIDE)
        cost.set_ylim(gain.get_ylim())
        _others(gain, idle, [controls[_key(row)] for row in panel.rows])
    for axes in grid[:-1].flat:
        axes.set_xlabel("")
    return figure


def _key(row: Row) -> tuple[Any, ...]:
    return (row.method, row.optimizer, row.place)


def _above(row: Row, control: Row) -> Stat:
    """The seconds of a row less those of its control, paired by run."""
    return stat(list(differences(row.values(SECONDS), control.values(SECONDS)).values()))


def _dot(axes: Axes, found: Stat, place: int, colour: str, scale: float) -> None:
    if found.mean is not None:
        error = None if found.error is None else scale * found.error
        axes.errorbar(scale * found.mean, place, xerr=error, fmt="o", color=colour, markersize=5, capsize=3)


def _others(axes: Axes, idle: Sequence[Row], controls: Sequence[Row]) -> None:
    """Where the methods stand that train nothing, if they and all controls are of the same data and model."""
    control = controls[0]
    for row in idle:
        if {row.place} != {one.place for one in controls}:
            continue
        apart = stat(list(differences(row.values(CLASSES.first), control.values(CLASSES.first)).values())).mean
        if apart is not None:
            axes.axvline(100 * apart, color="#b3b3b3", linestyle=":", linewidth=1.2)
            axes.annotate(
                row.method, (100 * apart, 1), (2, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                fontsize=8, color="#808080", va="top", rotation=90,
            )  # fmt: skip


def _dress(axes: Axes, places: dict[str, int], label: str) -> None:
    axes.axvline(0, color="#4d4d4d", linewidth=0.8)
    axes.set_yticks(list(places.values()), list(places), fontsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(color="#999999", labelsize=9, left=False)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(label, fontsize=9)
