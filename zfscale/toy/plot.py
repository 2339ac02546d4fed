"""Trajectories over the contours of L1 + L2: a panel per group of optimizers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zfscale.toy.loss import losses
from zfscale.toy.race import Trajectory

# Okabe and Ito's palette, safe for colour-blind readers
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#000000")
STYLES = ("-", "--", ":", "-.", "-")
WIDTHS = (2.4, 1.8, 1.4)  # the later ones lie on top
WINDOW = 11.0  # what is shown: -WINDOW .. WINDOW on both axes
GRID = 441
ACROSS = 4
DPI = 120


def draw(trajectories: Sequence[Trajectory]) -> Figure:
    """The figure of trajectories that have one start."""
    groups: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        groups.setdefault(trajectory.racer.group, []).append(trajectory)
    down, across = math.ceil(len(groups) / ACROSS), min(ACROSS, len(groups))
    figure = Figure(figsize=(3.6 * across, 0.6 + 3.75 * down), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat)
    surface = _surface()
    for panel, (title, members) in zip(panels, groups.items(), strict=False):
        panel.set_title(title, loc="left", fontweight="bold", fontsize=10)
        _ground(panel, *surface)
        _ways(panel, members)
    for spare in panels[len(groups) :]:
        spare.set_visible(False)
    marks = [line for line in panels[0].lines if line.get_label() in (*MARKS, "start")]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False, fontsize=9)
    return figure


def _surface() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The axis [GRID], L1 and L2 [GRID, GRID], rows along t2."""
    axis = np.linspace(-WINDOW, WINDOW, GRID)
    t1, t2 = np.meshgrid(axis, axis)
    old, new = losses(torch.from_numpy(np.stack([t1, t2], -1)))
    return axis, old.numpy(), new.numpy()


# Label -> marker, and the loss whose least point it marks.
MARKS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "lowest L1 (old task)": ("s", lambda old, new: old),
    "lowest L2 (new task)": ("D", lambda old, new: new),
    "lowest L1 + L2": ("*", lambda old, new: old + new),
}


def _ground(panel: Axes, axis: np.ndarray, old: np.ndarray, new: np.ndarray) -> None:
    """Contours of L1 + L2, dark where it is low, and where each of the losses is lowest."""
    panel.contourf(axis, axis, old + new, levels=24, cmap="Greys_r", alpha=0.45)
    panel.contour(axis, axis, old + new, levels=24, colors="#8c8c8c", linewidths=0.35, linestyles="solid")
    for label, (marker, which) in MARKS.items():
        row, column = np.unravel_index(which(old, new).argmin(), old.shape)
        style: dict[str, Any] = {
            "markersize": 13 if marker == "*" else 7,
            "markeredgecolor": "black",
            "markerfacecolor": "white",
        }
        panel.plot(axis[column], axis[row], linestyle="none", marker=marker, label=label, zorder=5, **style)
    panel.set(xlim=(-WINDOW, WINDOW), ylim=(-WINDOW, WINDOW), aspect="equal", xlabel="t1", ylabel="t2")
    panel.label_outer()


def _ways(panel: Axes, members: Sequence[Trajectory]) -> None:
    """A line per trajectory with a dot at its end, and the start."""
    lines = []
    for i, trajectory in enumerate(members):
        colour, t1, t2 = COLOURS[i % len(COLOURS)], trajectory.points[:, 0], trajectory.points[:, 1]
        style: dict[str, Any] = {"linestyle": STYLES[i % len(STYLES)], "linewidth": WIDTHS[min(i, len(WIDTHS) - 1)]}
        lines += panel.plot(t1, t2, color=colour, label=trajectory.racer.name, **style)
        panel.plot(t1[-1], t2[-1], "o", color=colour, markersize=5, markeredgecolor="white", zorder=6)
    panel.plot(
        *members[0].points[0], "P", color="black", markersize=9, markeredgecolor="white", zorder=7, label="start"
    )
    panel.legend(handles=lines, loc="upper right", fontsize=7.5, framealpha=0.85)
