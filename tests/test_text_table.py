"""Tables of text: what is flush left, what right, and the rule under the header."""

from __future__ import annotations

from zfscale.text_table import aligned, pipes

LINES = [["who", "Avg"], ["ease", "9.5"], ["a", "12.25"]]


def test_a_table_in_markdown():
    assert pipes(LINES, left=1) == "| who  |   Avg |\n| ---- | ----: |\n| ease |   9.5 |\n| a    | 12.25 |"


def test_a_table_for_a_console():
    assert aligned(LINES, left=1) == "who     Avg\n----  -----\nease    9.5\na     12.25"
    assert aligned(LINES, left=2) == "who   Avg\n----  -----\nease  9.5\na     12.25"
