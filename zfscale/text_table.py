"""Cells of text laid out as a table: in Markdown, or in columns for a console."""

from __future__ import annotations

Cells = list[list[str]]  # the header, then a line a row


def pipes(lines: Cells, left: int) -> str:
    """A Markdown table; the first `left` columns are flush left, the others flush right. Cells are Markdown."""
    padded = _pad(lines, left)
    rule = ["-" * len(cell) if i < left else "-" * (len(cell) - 1) + ":" for i, cell in enumerate(padded[0])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [padded[0], rule, *padded[1:]])


def aligned(lines: Cells, left: int) -> str:
    """The same for a console. Cells are without line breaks."""
    padded = _pad(lines, left)
    rule = ["-" * len(cell) for cell in padded[0]]
    return "\n".join("  ".join(line).rstrip() for line in [padded[0], rule, *padded[1:]])


def _pad(lines: Cells, left: int) -> Cells:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
