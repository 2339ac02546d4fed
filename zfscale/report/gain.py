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
from zfscale.report.plot import DPI, style
from zfscale.report.rows import METHOD, OPTIMIZING, TRAINING, Row


def draw(rows: Sequence[Row], untrained: Sequence[Row]) -> Figure | None:
    """The figure, or None when no row has a gain.

    Args:
        rows: At most one per method and optimizer, in drawing order, with GAIN among their statistics.
        untrained: Of each of these, its control; the same row may stand for several.
    """
    drawn = [(row, control) for row, control in zip(rows, untrained, strict=True) if row.stats[GAIN].mean is not None]
    methods = list(dict.fromkeys(row.method for row, _ in drawn))
    if not methods:
        return None
    names = list(dict.fromkeys(row.optimizer for row, _ in drawn))
    idle = [row for row in rows if row.optimizer == NO_OPTIMIZER]
    figure = Figure(figsize=(10.0, len(methods) * (0.9 + 0.24 * len(names))), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(methods), 2, squeeze=False, sharex="col", width_ratios=(3, 1))
    for method, (gain, cost) in zip(methods, grid, strict=True):
        mine = {row.optimizer: (row, control) for row, control in drawn if row.method == method}
        places = {name: -i for i, name in enumerate(name for name in names if name in mine)}
        for name, place in places.items():
            row, control = mine[name]
            _dot(gain, row.stats[GAIN], place, style(name, names)[0], 100)
            _dot(cost, _above(row, control), place, style(name, names)[0], 1)
        _dress(gain, method, places, "points of Avg over the untrained control, ± 1 standard error")
        _dress(cost, "", dict.fromkeys(("",), 0), "seconds a trial, above the control's")
        cost.set_ylim(gain.get_ylim())
        _others(gain, idle, [control for _, control in mine.values()])
    for axes in grid[:-1].flat:
        axes.set_xlabel("")
    return figure


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
        if {_place(row)} != set(map(_place, controls)):
            continue
        apart = stat(list(differences(row.values(CLASSES.first), control.values(CLASSES.first)).values())).mean
        if apart is not None:
            axes.axvline(100 * apart, color="#b3b3b3", linestyle=":", linewidth=1.2)
            axes.annotate(
                row.method, (100 * apart, 1), (2, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                fontsize=8, color="#808080", va="top", rotation=90,
            )  # fmt: skip


def _place(row: Row) -> tuple[Any, ...]:
    """What two rows must share to be compared if their methods differ."""
    _, *settings = row.scene(OPTIMIZING, TRAINING, METHOD)
    return tuple(settings)


def _dress(axes: Axes, title: str, places: dict[str, int], label: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold", fontsize=11)
    axes.axvline(0, color="#4d4d4d", linewidth=0.8)
    axes.set_yticks(list(places.values()), list(places), fontsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(color="#999999", labelsize=9, left=False)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(label, fontsize=9)
