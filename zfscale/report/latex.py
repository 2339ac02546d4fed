r"""A table of the report in LaTeX, as the package booktabs sets it; names may hold any characters."""

from __future__ import annotations

import re
import unicodedata

from zfscale.report.sheets import Sheet
from zfscale.report.text import one_line

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", '"': r"\textquotedbl{}", "[": "{[}",
    "]": "{]}", "*": "{*}", "±": r"$\pm$", "✓": r"$\checkmark$", "×": r"$\times$",
}  # fmt: skip
LONG = 40  # characters; longer words are set in lines of their own
WIDTH = "7cm"
SIGN = re.compile(r"^[-+](?=[\d.])")  # of a number


def latex(sheet: Sheet) -> str:
    r"""The table as a `tabular`, to be put between \begin{table} and a caption of one's own."""
    head, *lines = [[_cell(cell) for cell in line] for line in sheet.lines]
    for i, j in sheet.bold:
        lines[i][j] = rf"\textbf{{{lines[i][j]}}}"
    places = "l" * min(sheet.words, len(head)) + "r" * (len(head) - sheet.words)
    rows = [" & ".join(line) + r" \\" for line in lines]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,amssymb,textcomp}, and XeLaTeX or LuaLaTeX for letters beyond Latin ones",
            rf"\begin{{tabular}}{{{places}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def escape(text: str) -> str:
    r"""The text as LaTeX that shows it as it is. What fonts for text do not have, emoji say, is named.

    >>> escape("50 % of a_b\n\\input{x}")
    '50 \\% of a\\_b \\textbackslash{}input\\{x\\}'
    >>> escape("\N{GRINNING FACE}")
    '{[}grinning face{]}'
    """
    letters = "".join(map(_named, one_line(text)))
    return "".join(SPECIAL.get(letter, letter) for letter in letters).replace("--", "-{}-")


def _named(letter: str) -> str:
    if letter.isascii() or letter in SPECIAL:
        return letter
    kind = unicodedata.category(letter)
    if kind in ("Cf", "Mn", "Me"):  # joiners and variants, which show nothing by themselves
        return "" if kind == "Cf" or 0xFE00 <= ord(letter) <= 0xFE0F else letter
    if kind[0] in "SC":
        return f"[{unicodedata.name(letter, f'U+{ord(letter):04X}').lower()}]"
    return letter


def _cell(text: str) -> str:
    """A cell; one with a long text is a box that breaks its lines, within words too."""
    if len(text) <= LONG:
        return SIGN.sub(r"$\g<0>$", escape(text))
    pieces = [escape(piece) for piece in re.findall(r".{1,12}", one_line(text))]
    return rf"\parbox[t]{{{WIDTH}}}{{\raggedright {(chr(92) + 'allowbreak{}').join(pieces)}\strut}}"
