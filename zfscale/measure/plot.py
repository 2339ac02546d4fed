"""The picture of what was measured of a trial: a panel a metric, a line a task, against the steps."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zfscale.results.measures import Measured

WIDTH, HEIGHT, DPI = 7.0, 3.2, 160  # inches of a panel, and dots per inch
MOST = 12  # lines that a legend names
PART = ":"  # between a metric and the part of the model that it is of
ALL = "#000000"  # of what is measured over all tasks


def draw(title: str, rows: Sequence[Measured], names: dict[int, str]) -> Figure:
    """The figure; `names` of tasks, where they have any."""
    panels = list(dict.fromkeys((row.kind, row.data) for row in rows))
    figure = Figure(figsize=(WIDTH, HEIGHT * len(panels) + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9)
    grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (kind, data) in zip(grid, panels, strict=True):
        _panel(axes, [row for row in rows if (row.kind, row.data) == (kind, data)], names)
        axes.set_ylabel(kind if data is None else f"{kind} on {data}", fontsize=8)
    grid[-1].set_xlabel("steps of the trial", fontsize=8)
    return figure


def _panel(axes: Axes, rows: Sequence[Measured], names: dict[int, str]) -> None:
    lines: dict[str, dict[int, float]] = {}
    for row in rows:
        lines.setdefault(_line(row, names), {})[row.step] = row.value
    whole = {row.metric for row in rows if not row.task and PART not in row.metric}
    ends = sorted({max(row.step for row in rows if row.stage == stage) for stage in {row.stage for row in rows}})
    for end in ends[:-1]:
        axes.axvline(end, color="#cccccc", linewidth=0.8, zorder=0)
    for i, (name, values) in enumerate(lines.items()):
        colour = ALL if name in whole else f"C{i % 10}"
        axes.plot(*zip(*sorted(values.items()), strict=True), ".-", color=colour, linewidth=1, markersize=3, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=7)
    if len(lines) <= MOST:
        axes.legend(fontsize=6, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def _line(row: Measured, names: dict[int, str]) -> str:
    """Its task; without one, what it is over all, or the part of the model that it is of."""
    return names.get(row.task, f"task {row.task}") if row.task else row.metric.rpartition(PART)[2]
