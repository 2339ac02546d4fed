"""The loss matrix as heat maps: a column per method and stream, a line per optimizer; stages down, domains across."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from zfscale.report.panels import panels
from zfscale.report.rows import Row
from zfscale.report.text import one_line

DPI = 160
LETTERS = 25  # of a domain's name, at most
JOINT = "joint"  # the method whose one stage learns all domains
Cells = Mapping[tuple[int, int], float]  # (stage, task) -> loss; stage 0 is the pretrained model


def draw(rows: Sequence[Row], losses: Mapping[str, Cells]) -> Figure | None:
    """The figure, or None when no row that learns has losses.

    Args:
        rows: At most one per method and optimizer in a place, in drawing order; each names its domains in their order.
        losses: Trial id -> its losses.
    """
    drawn = [row for row in rows if row.method != "zero-shot" and any(i in losses for i in row.trial_ids)]
    if not drawn:
        return None
    columns = panels(drawn)
    optimizers = list(dict.fromkeys(row.optimizer for row in drawn))
    means = {row.trial_ids: _mean([losses[i] for i in row.trial_ids if i in losses]) for row in drawn}
    figure, grid, norm = _grid(len(columns), len(optimizers), list(means.values()))
    for i, column in enumerate(columns):
        for row in column.rows:
            axes = grid[optimizers.index(row.optimizer)][i]
            axes.set_visible(True)
            column.title(axes, fontsize=9, first=f"{row.method}, {row.optimizer}")
            _panel(axes, means[row.trial_ids], row, norm)
    bar = figure.colorbar(ScalarMappable(norm, "RdBu_r"), ax=[a for line in grid for a in line], shrink=0.5, pad=0.01)
    bar.set_label("change of the loss since the pretrained model", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def _mean(found: Sequence[Cells]) -> np.ndarray:
    """[stages, domains], the mean over trials."""
    stages, tasks = (1 + max(place[axis] for place in found[0]) for axis in (0, 1))
    every = [[[cells.get((i, j), math.nan) for cells in found] for j in range(1, tasks)] for i in range(stages)]
    return np.mean(every, axis=-1)


def _grid(across: int, down: int, means: Sequence[np.ndarray]) -> tuple[Figure, list[list[Axes]], TwoSlopeNorm]:
    """Invisible axes, as high as the longest stream asks, and one colour scale, white at no change."""
    stages, domains = (max(mean.shape[axis] for mean in means) for axis in (0, 1))
    size = ((1.2 + 0.62 * domains) * across + 0.8, (0.75 + 0.24 * stages) * down + 0.3)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    most = max(float(np.nan_to_num(np.abs(_change(mean))).max()) for mean in means) or 1.0
    return figure, [list(line) for line in grid], TwoSlopeNorm(0.0, -most, most)


def _change(grid: np.ndarray) -> np.ndarray:
    """[stages, domains] since the pretrained model; NaN, which has no colour, where that is no finite number."""
    with np.errstate(invalid="ignore", over="ignore"):
        change = grid - grid[0]
    return np.where(np.isfinite(change), change, np.nan)


def shorten(name: str) -> str:
    """A name that leaves room for the picture.

    >>> shorten("short"), len(shorten("long" * 99))
    ('short', 25)
    """
    return name if len(name) <= LETTERS else f"{name[: LETTERS // 2]}…{name[-(LETTERS // 2) :]}"


def _panel(axes: Axes, grid: np.ndarray, row: Row, norm: TwoSlopeNorm) -> None:
    domains, change = [shorten(one_line(name)) for name in row.domains], _change(grid)
    stages = ["base", "all"] if row.method == JOINT else ["base", *(f"+ {name}" for name in domains)]
    axes.imshow(change, cmap="RdBu_r", norm=norm, aspect="auto")
    axes.set_yticks(range(len(grid)), stages, fontsize=7, parse_math=False)
    axes.set_xticks(
        range(len(domains)), domains, fontsize=7, rotation=20, ha="right", rotation_mode="anchor", parse_math=False
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for i, j in np.ndindex(grid.shape):
        dark = abs(norm(change[i, j]) - 0.5) > 0.3  # never of NaN
        axes.text(j, i, f"{grid[i, j]:.2f}", ha="center", va="center", fontsize=7, color="white" if dark else "black")
