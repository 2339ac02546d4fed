"""The panels of a picture: one for each method on each model and stream of the sweep."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from zfscale.report.rows import Row, place_text

LINE = 13  # points between the lines below a title
WIDTH = 34  # letters of such a line


@dataclass(frozen=True)
class Panel:
    """Rows of one method that learned the same stream with the same model.

    Args:
        method: The method.
        place: The settings of model and stream that vary, as text; empty where none does.
        rows: At most one per optimizer, in drawing order.
    """

    method: str
    place: str
    rows: tuple[Row, ...]

    def title(self, axes: Axes, fontsize: float = 11, width: int = WIDTH, first: str | None = None) -> None:
        """Write the method, or `first`, above a panel, and below it, smaller, the place."""
        lines = textwrap.wrap(self.place, width)
        pad = 6 + LINE * len(lines)
        axes.set_title(first or self.method, loc="left", fontweight="bold", fontsize=fontsize, pad=pad)
        if lines:
            axes.annotate(
                "\n".join(lines), (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=8,
                color="#4d4d4d", va="bottom", parse_math=False,
            )  # fmt: skip


def panels(rows: Iterable[Row]) -> list[Panel]:
    """The panels of rows, in the order in which methods and places first come."""
    found: dict[tuple[str, tuple[tuple[str, Any], ...]], list[Row]] = {}
    for row in rows:
        found.setdefault((row.method, row.place), []).append(row)
    order = list(dict.fromkeys(method for method, _ in found))
    return [
        Panel(method, place_text(place), tuple(own))
        for method, place, own in sorted(
            ((*key, own) for key, own in found.items()), key=lambda panel: order.index(panel[0])
        )
    ]
