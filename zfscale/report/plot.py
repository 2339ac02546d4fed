"""Accuracy per stage: a panel per method and stream, a line per optimizer; colour is the family, dashes the variant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from zfscale.report.load import NO_OPTIMIZER, UNTRAINED
from zfscale.report.paired import stat
from zfscale.report.panels import panels
from zfscale.report.rows import Row

# Okabe and Ito's palette, safe for colour-blind readers
FAMILIES = {
    NO_OPTIMIZER: "#b3b3b3",
    UNTRAINED: "#b3b3b3",
    "fo": "#4d4d4d",
    "zo-sgd": "#0072b2",
    "zo-adam": "#d55e00",
    "zo-adamm": "#cc79a7",
    "forward-grad-adamm": "#f0e442",
    "forward-grad-adam": "#56b4e9",
    "forward-grad": "#009e73",
}
OTHERS = ("#e69f00", "#999999", "#882255")
Dash: TypeAlias = Literal["-", "--", "-.", ":"]
DASHES: dict[str, Dash] = {"": "-", "sgd": "-", "adam": "--", "sign": "--", "conserve": ":"}
ACROSS = 4  # panels in a row, at most
DPI = 160

Curves = Mapping[str, Mapping[int, float]]


def draw(rows: Sequence[Row], curves: Curves) -> Figure | None:
    """The figure, or None when no row has a curve.

    Args:
        rows: At most one per method and optimizer in a place, in drawing order.
        curves: Trial id -> stage -> accuracy in [0, 1].
    """
    drawn = [row for row in rows if any(curves.get(trial_id) for trial_id in row.trial_ids)]
    if not drawn:
        return None
    shown = panels(drawn)
    optimizers = list(dict.fromkeys(row.optimizer for row in drawn))
    figure, grid = _panels(len(shown))
    for axes, panel in zip(grid, shown, strict=True):
        panel.title(axes)
        for row in panel.rows:
            _line(axes, [curves[i] for i in row.trial_ids if i in curves], *style(row.optimizer, optimizers))
    _legend(figure, optimizers)
    return figure


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    """Dressed axes with shared y, in as few rows as hold them; inches grow with the columns."""
    down = math.ceil(n / ACROSS)
    across = math.ceil(n / down)
    width = {1: 6.4, 2: 8.4}.get(across, 10.0)
    figure = Figure(figsize=(width, 0.9 + 2.9 * down), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    every = list(grid.flat)
    for spare in every[n:]:
        spare.set_visible(False)
    for i, axes in enumerate(every[:n]):
        _dress(axes, labelled=i % across == 0)
    return figure, every[:n]


def _dress(axes: Axes, labelled: bool) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(color="#999999", labelsize=9)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    axes.set_xlabel("tasks learned")
    if labelled:
        axes.set_ylabel("accuracy on all classes seen (%)")


def _line(axes: Axes, curves: Sequence[Mapping[int, float]], colour: str, dashes: Dash) -> None:
    stages = sorted({stage for curve in curves for stage in curve})
    stats = [stat([curve[stage] for curve in curves if stage in curve]) for stage in stages]
    mean = [100 * (s.mean or 0.0) for s in stats]
    errors = [100 * (s.error or 0.0) for s in stats]
    low, high = zip(*((m - e, m + e) for m, e in zip(mean, errors, strict=True)), strict=True)
    axes.fill_between(stages, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.plot(stages, mean, color=colour, linestyle=dashes, linewidth=1.7, marker="o", markersize=3)


def _legend(figure: Figure, names: Sequence[str]) -> None:
    """One column per family, filled up with blanks, since matplotlib lays a legend out by column."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(style(name, names)[0], []).append(name)
    tall = max(len(members) for members in families.values())
    handles = [_handle(name, names) for own in families.values() for name in [*own, *[""] * (tall - len(own))]]
    columns = len(families)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        columnspacing=1.6,
    )


def _handle(name: str, names: Sequence[str]) -> Line2D:
    if not name:
        return Line2D([], [], linestyle="none", label=" ")
    colour, dashes = style(name, names)
    return Line2D([], [], color=colour, linestyle=dashes, linewidth=1.7, marker="o", markersize=3, label=name)


def style(name: str, names: Sequence[str]) -> tuple[str, Dash]:
    """Colour and dashes; an optimizer of no known family takes the next spare colour."""
    family = _family(name)
    if family:
        return FAMILIES[family], DASHES.get(name[len(family) + 1 :], "-.")
    strangers = [other for other in names if not _family(other)]
    return OTHERS[strangers.index(name) % len(OTHERS)], "-"


def _family(name: str) -> str | None:
    return next((family for family in FAMILIES if f"{name}-".startswith(f"{family}-")), None)
